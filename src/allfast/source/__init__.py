"""What a release is made from: the commit, its clean checkout, and the inputs of each image.

`git` the repository · `checkout` its clean export · `dockerfile`, `expansion`, `needs`, `bases` what a build takes from
outside · `ignore`, `ignore_regex` what a context holds · `inputs` the digest over all of it.
"""
