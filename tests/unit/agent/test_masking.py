"""What the agent masks in the log lines that it keeps."""

import json

from allfast.agent.masking import masked

COMPOSE = json.dumps(
    {
        "services": {
            "api": {
                "environment": {
                    "DB_PASSWORD": "pa$$wörd 1",
                    "API_TOKEN": "tok-12345",
                    "SIGNING_KEY": "line-one\nline-two",
                    "KEY_CACHE": "true",
                    "SHORT_SECRET": "abc",
                    "DATABASE": "postgres://app:p%40ss/word@db/app".replace("/word", "word"),
                    "MODE": "production",
                    "EMPTY_TOKEN": None,
                }
            },
            "web": {},
        }
    }
)


def test_values_whose_key_looks_secret_and_passwords_of_addresses_are_masked() -> None:
    log = "a pa$wörd 1 b tok-12345 c line-two d p%40ssword e p@ssword f pa%24w%C3%B6rd%201 g of a file\n"
    kept = "true abc production\n"
    told = masked((log + kept).encode(), COMPOSE, ["of a file\n"]).decode()
    assert told == "a *** b *** c *** d *** e *** f *** g ***\n" + kept


def test_bytes_that_are_no_text_stay() -> None:
    assert masked(b"\xff tok-12345 \xfe", COMPOSE, []) == b"\xff *** \xfe"
    assert masked(b"a log", json.dumps({"services": {"web": {}}}), []) == b"a log"
