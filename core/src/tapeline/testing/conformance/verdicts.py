"""What comes of a case, and how a check says so."""

from __future__ import annotations

import enum
import traceback
from collections.abc import Mapping

import attrs

from tapeline.testing.conformance.cases import Case


class RuleBroken(AssertionError):
    """The plugin does not keep the rule; the message says what was found."""


class NotShown(Exception):
    """What is needed to check the rule was not given; the message says what."""


class NotApplicable(Exception):
    """The plugin does not have what the rule is about; the message says why."""


class Outcome(str, enum.Enum):
    """What came of one case."""

    PASSED = "passed"
    FAILED = "failed"
    ADVISORY = "advisory"
    WAIVED = "waived"
    NOT_SHOWN = "not shown"
    NOT_APPLICABLE = "not applicable"

    def __str__(self) -> str:
        return self.value


HARMLESS = frozenset({Outcome.PASSED, Outcome.NOT_APPLICABLE, Outcome.ADVISORY})
"""Outcomes that do not stand against a tier."""


@attrs.frozen
class CaseResult:
    """One case and what came of it.

    Args:
        detail: a sentence; empty when it passed.
        subject: name of the exchange or sink; empty for what concerns the plugin.
    """

    case: Case
    outcome: Outcome
    detail: str = ""
    subject: str = ""

    @property
    def message(self) -> str:
        """The id, the rule, what was found, and the page that explains it."""
        case = self.case
        return f"{case.id}: {case.rule}\n  found: {self.detail}\n  see {case.docs}"

    def as_dict(self) -> dict[str, object]:
        """JSON-ready form."""
        return {
            "id": self.case.id,
            "subject": self.subject,
            "rule": self.case.rule,
            "tier": str(self.case.tier),
            "since": "{}.{}".format(*self.case.since),
            "outcome": str(self.outcome),
            "detail": self.detail,
            "docs": self.case.docs,
        }


def run_case(
    case: Case,
    subject: object,
    api: tuple[int, int],
    waivers: Mapping[str, str] | None = None,
) -> CaseResult:
    """Run *case* on *subject*, a plugin written against *api*.

    Args:
        waivers: case id → reason. A waived case is not run; one without a reason
            fails.
    """
    reason = (waivers or {}).get(case.id)
    if reason is not None:
        if not reason.strip():
            return CaseResult(case, Outcome.FAILED, "a waiver without a reason")
        return CaseResult(case, Outcome.WAIVED, reason)
    try:
        case.check(subject)
    except NotShown as error:
        return CaseResult(case, Outcome.NOT_SHOWN, str(error))
    except NotApplicable as error:
        return CaseResult(case, Outcome.NOT_APPLICABLE, str(error))
    except RuleBroken as error:
        detail = str(error)
    except Exception as error:  # supervisor: the plugin's own code may raise anything
        detail = _described(error)
    else:
        return CaseResult(case, Outcome.PASSED)
    binding = case.is_binding(api)
    return CaseResult(case, Outcome.FAILED if binding else Outcome.ADVISORY, detail)


def _described(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, RuleBroken):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {frames[-1].name}, line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}{where}"
