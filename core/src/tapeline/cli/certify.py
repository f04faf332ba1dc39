"""``tapeline certify``: what an installed plugin has shown, computed from its cases."""

from __future__ import annotations

from typing import Annotated

import typer

from tapeline.cli.output import FAILED, guarded, print_json, say
from tapeline.cli.tables import show_rows


def certify(
    name: Annotated[str, typer.Argument(help="Name of an installed plugin.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document.")
    ] = False,
) -> None:
    """Run the conformance cases on an installed plugin and print its tier.

    The tier is computed: bronze for the offline contract and the packaging, silver
    for faults and telemetry as well, gold for cost and documented limits as well.
    Ends with 0 from bronze on, with 1 below it.
    """

    def work() -> None:
        # The kits need all of core; no other command shall wait for that.
        from tapeline.testing.conformance import certify as run

        certificate = run(name)
        if as_json:
            print_json(certificate.as_dict())
        else:
            show_rows(
                ("case", "tier", "outcome", "rule, or what was found"),
                [
                    [
                        each.case.id,
                        str(each.case.tier),
                        str(each.outcome),
                        each.detail or each.case.rule,
                    ]
                    for each in certificate.results
                ],
            )
            tier = certificate.tier or "none"
            say(f"{certificate.distribution} {certificate.version}: tier {tier}")
        if certificate.tier is None:
            raise typer.Exit(FAILED)

    guarded(work)
