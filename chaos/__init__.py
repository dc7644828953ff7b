"""What is left when something dies in the middle of a deploy or a rollback, under load (docs/chaos.md)."""
