"""Function chaining."""

from __future__ import annotations

from durable_admin.samples.chaining import Customer, welcome_customer
from tests.samples.conftest import Run


def test_each_activity_works_on_the_result_of_the_one_before(run: Run) -> None:
    ended = run(welcome_customer, Customer(name="Ada", email=" Ada@Example.COM "))

    assert ended.runtime_status == "Completed"
    assert ended.output.startswith("Dear Ada, your account AC-")
    assert ended.output.endswith("We write to ada@example.com.")


def test_two_instances_open_two_accounts(run: Run) -> None:
    customer = Customer(name="Ada", email="ada@example.com")

    assert run(welcome_customer, customer).output != run(welcome_customer, customer).output


def test_a_refused_address_fails_the_orchestration(run: Run) -> None:
    ended = run(welcome_customer, Customer(name="Ada", email="nowhere"))

    assert ended.runtime_status == "Failed"
    assert "'nowhere' is not an e-mail address." in str(ended.output)
