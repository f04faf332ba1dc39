"""How the kits report: waivers, advisory cases, messages, tiers, documentation."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tapeline.errors import UsageError
from tapeline.testing import (
    ExchangeConformance,
    ExchangeUnderTest,
    MiniAdapter,
    SinkConformance,
    certify,
)
from tapeline.testing.conformance import (
    CASES,
    EXCHANGE_CASES,
    PACKAGING_CASES,
    SINK_CASES,
    Case,
    CaseResult,
    Certificate,
    NotApplicable,
    NotShown,
    Outcome,
    RuleBroken,
    Tier,
    run_case,
)

PAGE = Path(__file__).parents[3] / "docs" / "conformance.md"
SUBJECT = ExchangeUnderTest(MiniAdapter(), ())


def made(
    error: Exception | None = None,
    *,
    id: str = "EX-MADE-001",
    tier: Tier = Tier.BRONZE,
    since: tuple[int, int] = (1, 0),
) -> Case:
    """A case that raises *error*."""

    def check(_: object) -> None:
        if error is not None:
            raise error

    return Case(id, "a rule", tier, since, "why", check)


def test_every_case_has_its_section_and_every_section_is_a_case() -> None:
    sections = re.findall(r"^### ((?:EX|SK|PK)-.+)$", PAGE.read_text(), re.MULTILINE)
    assert sections == [case.id for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_case_explains_itself(case: Case) -> None:
    assert re.fullmatch(r"(EX|SK|PK)-[A-Z]+-\d{3}", case.id)
    assert len(case.about.split()) > 8
    assert not case.rule.endswith(".")
    assert case.docs == f"docs/conformance.md#{case.id.lower()}"


@pytest.mark.parametrize(
    ("kit", "cases"),
    [(ExchangeConformance, EXCHANGE_CASES), (SinkConformance, SINK_CASES)],
)
def test_each_kit_has_a_method_for_each_of_its_cases(
    kit: type, cases: tuple[Case, ...]
) -> None:
    methods = [name for name in vars(kit) if name.startswith("test_")]
    expected = [
        case.id.lower().replace("-", "_") for case in (*cases, *PACKAGING_CASES)
    ]
    assert [
        name[5 : 5 + len(each)] for name, each in zip(methods, expected, strict=False)
    ] == expected
    assert len(methods) == len(expected)


def test_a_waived_case_is_not_run_and_keeps_its_reason() -> None:
    result = run_case(
        made(RuleBroken("x")), SUBJECT, (1, 0), {"EX-MADE-001": "the venue cannot"}
    )
    assert (result.outcome, result.detail) == (Outcome.WAIVED, "the venue cannot")


def test_a_waiver_without_a_reason_fails() -> None:
    result = run_case(made(), SUBJECT, (1, 0), {"EX-MADE-001": "  "})
    assert result.outcome is Outcome.FAILED
    assert "without a reason" in result.detail


def test_a_waiver_of_an_unknown_case_fails() -> None:
    class Kit(ExchangeConformance):
        waivers = {"EX-NOPE-001": "because"}  # noqa: RUF012 - as users write it

    with pytest.raises(RuleBroken, match="EX-NOPE-001"):
        Kit().test_every_waiver_names_a_case()


def test_a_case_newer_than_the_plugin_is_advisory() -> None:
    newer = made(RuleBroken("x"), since=(1, 2))
    assert run_case(newer, SUBJECT, (1, 1)).outcome is Outcome.ADVISORY
    assert run_case(newer, SUBJECT, (1, 2)).outcome is Outcome.FAILED


def test_a_failure_names_the_case_the_rule_the_finding_and_the_page() -> None:
    class Kit(ExchangeConformance):
        pass

    with pytest.raises(RuleBroken) as caught:
        Kit().check(made(RuleBroken("something else")), SUBJECT)
    assert str(caught.value) == (
        "EX-MADE-001: a rule\n  found: something else\n"
        "  see docs/conformance.md#ex-made-001"
    )


def test_what_is_not_shown_is_skipped_unless_the_kit_is_complete() -> None:
    class Kit(ExchangeConformance):
        pass

    class Complete(ExchangeConformance):
        complete = True

    case = made(NotShown("frames"))
    with pytest.raises(pytest.skip.Exception, match="not shown: frames"):
        Kit().check(case, SUBJECT)
    with pytest.raises(RuleBroken, match="frames"):
        Complete().check(case, SUBJECT)


def test_a_bug_of_the_plugin_is_a_failure_that_says_where() -> None:
    result = run_case(made(KeyError("price")), SUBJECT, (1, 0))
    assert result.outcome is Outcome.FAILED
    assert "KeyError: 'price' in check" in result.detail


@pytest.mark.parametrize(
    ("bronze", "silver", "gold", "expected"),
    [
        (Outcome.PASSED, Outcome.PASSED, Outcome.PASSED, Tier.GOLD),
        (Outcome.PASSED, Outcome.PASSED, Outcome.FAILED, Tier.SILVER),
        (Outcome.PASSED, Outcome.NOT_SHOWN, Outcome.PASSED, Tier.BRONZE),
        (Outcome.NOT_APPLICABLE, Outcome.ADVISORY, Outcome.PASSED, Tier.GOLD),
        (Outcome.WAIVED, Outcome.PASSED, Outcome.PASSED, None),
        (Outcome.FAILED, Outcome.PASSED, Outcome.PASSED, None),
    ],
)
def test_the_tier_is_computed_and_each_includes_those_before(
    bronze: Outcome, silver: Outcome, gold: Outcome, expected: Tier | None
) -> None:
    results = [
        CaseResult(made(id=f"EX-{tier.name}-001", tier=tier), outcome)
        for tier, outcome in zip(Tier, (bronze, silver, gold), strict=True)
    ]
    certificate = Certificate("acme", "acme-feeds", "1.0", (1, 0), results)

    assert certificate.tier is expected
    assert len(certificate.against(Tier.GOLD)) == sum(
        each in (Outcome.FAILED, Outcome.NOT_SHOWN, Outcome.WAIVED)
        for each in (bronze, silver, gold)
    )


def test_what_is_not_applicable_does_not_fail() -> None:
    case = made(NotApplicable("no books"))
    assert run_case(case, SUBJECT, (1, 0)).outcome is Outcome.NOT_APPLICABLE


def test_an_unknown_plugin_cannot_be_certified() -> None:
    with pytest.raises(UsageError, match="expected an installed plugin"):
        certify("acme")


def test_the_kits_are_imported_only_when_they_are_asked_for() -> None:
    code = (
        "import sys\n"
        "sys.modules['pytest'] = None\n"
        "import tapeline.testing as testing\n"
        "assert 'tapeline.runtime' not in sys.modules\n"
        "assert testing.certify and testing.SinkConformance\n"
        "assert 'tapeline.runtime' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
