"""The example domains on a real Kafka: hand-written events in, hand-written screens out."""

import pytest
from google.protobuf import json_format

from tarn.events import Publisher
from tarn.golden import STREAMS, all_golden
from tarn.kafka import DEFAULT_VERSION
from tarn.programs import Projector, Query

GOLDEN = {golden.domain: golden for golden in all_golden()}
domains = pytest.mark.parametrize("domain", GOLDEN)
pytestmark = pytest.mark.xdist_group("golden")  # in one process: they share one run


class Run:
    """All domains published once, folded once, served by one query server."""

    def __init__(self, kafka, schema, folder):
        self.topics = {stream: kafka.create_topic(f"golden.{stream}.{folder.name}", partitions=3) for stream in STREAMS}
        publisher = Publisher(kafka, schema)
        for golden in GOLDEN.values():
            for record in golden.records:
                publisher.publish_record(self.topics[record["stream"]], record)
        publisher.flush()
        self.projector = Projector(folder, "projector", folder / "store", kafka, self.topics)
        self.query = Query(folder, "query", folder / "store")


@pytest.fixture(scope="module")
def run(brokers, examples, tmp_path_factory):
    run = Run(brokers(DEFAULT_VERSION), examples, tmp_path_factory.mktemp("golden"))
    try:
        run.projector.start()
        run.projector.wait_caught_up()
        run.query.start()
        yield run
        run.query.stop()
        run.projector.stop()
    finally:
        run.query.end()
        run.projector.end()
    run.projector.assert_sane()
    run.query.assert_sane()


@domains
def test_every_screen_shows_what_the_events_mean(run, domain):
    golden = GOLDEN[domain]
    shown = {path: run.query.json(path) for path in golden.screens}
    for path in golden.screens:  # one by one: a difference is easier to read
        assert shown[path] == golden.screens[path], path
    for path, other in golden.same.items():
        assert run.query.json(path) == golden.screens[other], path


@domains
def test_what_isnt_there_answers_404(run, domain):
    answers = {path: run.query.get(path).status_code for path in GOLDEN[domain].absent}
    assert answers == {path: 404 for path in answers}


@domains
def test_answers_say_whether_events_of_their_key_are_parked(run, domain):
    golden = GOLDEN[domain]
    for path in [*golden.screens, *golden.same, *golden.absent]:
        incomplete = run.query.get(path).headers.get("Tarn-Incomplete")
        assert incomplete == ("true" if path in golden.incomplete else None), path


@domains
def test_the_protobuf_answer_is_the_same_screen(run, domain, examples):
    for path, screen in GOLDEN[domain].screens.items():
        answer = run.query.get(path, headers={"Accept": "application/x-protobuf"})
        assert answer.status_code == 200, path
        assert answer.headers["Content-Type"].startswith("application/x-protobuf")
        message = examples.decode(MESSAGES[path.split("/")[2]], answer.content)
        shown = json_format.MessageToDict(message, always_print_fields_with_no_presence=True,
                                          descriptor_pool=examples.pool)
        shown.pop("laboratoryId", None)  # hidden: never in the bytes, so shown as empty
        assert shown == screen, path


def test_parked_events_are_listed_with_their_reasons(run):
    wanted = sorted((parked["key"], parked["type"], parked["reason"], parked["waiting"])
                    for golden in GOLDEN.values() for parked in golden.parked if parked["key"] is not None)
    listed = run.projector.cli("parked", "list", "--json")
    with_key = sorted((parked["key"], parked["type"] or "", parked["reason"], parked["waiting"])
                      for parked in listed if parked["key"] is not None)
    assert with_key == wanted
    keyless = [parked["reason"] for parked in listed if parked["key"] is None]
    assert keyless == ["no key"]


MESSAGES = {
    "bureau-report": "credit.screens.BureauReport",
    "coverage-analysis": "coverage.screens.CoverageAnalysis",
    "credit-score": "credit.screens.CreditScore",
    "genetic-result": "genetics.screens.GeneticResult",
    "institution": "institution.screens.Institution",
    "lenders": "lender.screens.Lender",
    "loan-comparison": "loan.screens.LoanComparison",
    "monthly-spending": "card.screens.MonthlySpending",
    "policies": "coverage.screens.PolicyPage",
    "rate-watch": "rate.screens.RateWatch",
    "unified-balance": "balance.screens.UnifiedBalance",
}
