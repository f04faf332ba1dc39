"""``python -m tapeline.cli``."""

from tapeline.cli.app import main

main()
