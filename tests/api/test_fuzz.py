"""Whatever is asked of the API, it answers with what its OpenAPI document says, and never with a fault of its own."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.api.conftest import Api, an_order

# The event stream has no end to wait for; it has its own tests.
ENDLESS = "/api/whatsapp/broadcasts/{broadcast_id}/events"
TAKES_NOTHING = ("/api/whatsapp/receipt-key",)


@pytest.fixture
def document(api: Api) -> schemathesis.BaseSchema:
    """The OpenAPI document of a running web process, with a draft that ids can hit."""
    api.post("/broadcasts", an_order(start=False))
    return schemathesis.openapi.from_url(f"{api.address}/openapi.json").exclude(path=ENDLESS)


def fuzz(api: Api, operation: Any, mode: GenerationMode, examples: int) -> list[str]:
    """What is wrong with the answers of one operation."""

    @seed(20)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        # Text of the right shape may still be no phone number, or no cursor of ours: then 422 is right.
        case.call_and_validate(
            headers={"Authorization": f"Bearer {api.key}"}, excluded_checks=[positive_data_acceptance]
        )

    try:
        ask()
    except (Failure, FailureGroup) as error:
        return [f"{operation.label}: {error}"]
    except Unsatisfiable:
        # Nothing can be asked wrongly of a route that takes nothing, not even a key.
        assert mode is GenerationMode.NEGATIVE, operation.label
        assert operation.path in TAKES_NOTHING, operation.label
    return []


def fuzz_all(api: Api, document: schemathesis.BaseSchema, mode: GenerationMode, examples: int) -> list[str]:
    """What is wrong with the answers of every operation."""
    failures: list[str] = []
    for found in document.get_all_operations():
        assert isinstance(found, Ok), found.err()
        failures += fuzz(api, found.ok(), mode, examples)
    return failures


# Requests that fit the document, and others.
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_meets_a_fault_or_an_answer_outside_the_document(
    api: Api, document: schemathesis.BaseSchema, mode: GenerationMode
) -> None:
    failures = fuzz_all(api, document, mode, examples=30)
    assert failures == [], "\n\n".join(failures)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_of_very_many_meets_a_fault_or_an_answer_outside_the_document(
    api: Api, document: schemathesis.BaseSchema, mode: GenerationMode
) -> None:
    failures = fuzz_all(api, document, mode, examples=1_000)
    assert failures == [], "\n\n".join(failures)
