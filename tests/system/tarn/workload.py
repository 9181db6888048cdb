"""A stream of events of the example domains, as long as wanted and the same for the same seed."""

import random

STREAM_TOPICS = ("balance", "card", "consultation", "coverage", "credit", "genetics", "inquiry", "institution", "lender",
                 "loan", "rate", "scoring")


def topics_for_examples(new_topic, partitions=3):
    """{stream: topic}: identity has a topic of its own, everything else shares one."""
    events, people = new_topic("events", partitions), new_topic("people", partitions)
    return {**dict.fromkeys(STREAM_TOPICS, events), "identity": people}


def events(count, people=400, seed=1):
    """Yields (stream, type, key, fields). About one event in a hundred erases somebody."""
    chance = random.Random(seed)
    for number in range(count):
        user = f"u{chance.randrange(people)}"
        day = f"2026-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}T{chance.randrange(24):02}:00:00Z"
        make = chance.choices(_MAKERS, _WEIGHTS)[0]
        event_type, fields = make(chance, number, day)
        yield event_type.split(".")[0], event_type, user, _of(user, event_type, fields)


def _of(user, event_type, fields):
    owner = "customer_id" if event_type == "scoring.v1.CardsRecommended" else "user_id"
    return {owner: user, **fields}


def _report(chance, number, day):
    markers = [{"category": chance.choice(("skin", "sleep", "nutrition")), "code": f"rs{chance.randrange(30)}",
                "trait": f"trait {number}", "risk": chance.choice(("NORMAL", "CAUTION", "HIGH")),
                "score": chance.randrange(400) / 4, "advice": "sleep well"} for _ in range(chance.randrange(12))]
    return "genetics.v1.AnalysisCompleted", {"report_id": f"rep{number}", "completed_at": day, "markers": markers}


def _marker(chance, number, day):
    return "genetics.v1.MarkerReinterpreted", {"category": "skin", "code": f"rs{chance.randrange(30)}",
                                               "score": float(chance.randrange(100)), "risk": "CAUTION"}


def _request(chance, number, day):
    return "loan.v1.ComparisonRequested", {"application_id": f"a{chance.randrange(3)}", "amount_krw": number,
                                           "purpose": "LIVING", "requested_at": day}


def _offer(chance, number, day):
    lender = chance.randrange(12)
    return "loan.v1.OfferReceived", {"application_id": f"a{chance.randrange(3)}", "lender_id": f"L{lender}",
                                     "lender_name": f"Lender {lender}", "rate_bp": chance.randrange(300, 2100),
                                     "limit_krw": chance.randrange(40) * 1000000, "valid_until": "2027-06-01T00:00:00Z",
                                     "purpose": chance.choice(("LIVING", "REFINANCE"))}


def _withdrawn(chance, number, day):
    return "loan.v1.OfferWithdrawn", {"application_id": f"a{chance.randrange(3)}", "lender_id": f"L{chance.randrange(12)}"}


def _cancelled(chance, number, day):
    return "loan.v1.ComparisonCancelled", {"application_id": f"a{chance.randrange(3)}"}


def _payment(chance, number, day):
    return "card.v1.PaymentApproved", {"payment_id": f"p{number}", "amount_krw": chance.randrange(100000), "approved_at": day,
                                       "category": chance.choice(("OTHER", "GROCERIES", "DINING", "TRAVEL"))}


def _payment_back(chance, number, day):
    return "card.v1.PaymentCancelled", {"payment_id": f"p{number}", "amount_krw": chance.randrange(1000),
                                        "approved_at": day, "category": "DINING"}


def _cards(chance, number, day):
    return "scoring.v1.CardsRecommended", {"picks": [{"card_id": f"c{i}", "benefit_krw": number + i} for i in range(3)]}


def _balance(chance, number, day):
    return "balance.v1.BalanceReported", {"institution_code": chance.randrange(5), "account_no": f"{chance.randrange(4)}",
                                          "amount": float(chance.randrange(10**7)), "as_of": day}


def _consent_back(chance, number, day):
    return "balance.v1.ConsentWithdrawn", {"institution_code": chance.randrange(5)}


def _score(chance, number, day):
    return "credit.v1.ScoreReported", {"bureau": chance.choice(("NICE", "KCB")), "score": chance.randrange(300, 1000),
                                       "change": chance.randrange(-50, 50), "at": day, "report_id": f"r{number}"}


def _watch(chance, number, day):
    return chance.choice((("rate.v1.WatchStarted", {"below_bp": 700, "started_at": day}), ("rate.v1.WatchStopped", {})))


def _name(chance, number, day):
    return "identity.v1.UserRenamed", {"name": f"Name {number}"}


def _erased(chance, number, day):
    return "identity.v1.UserErased", {"requested_at": day}


_MAKERS, _WEIGHTS = zip((_report, 6), (_marker, 8), (_request, 6), (_offer, 20), (_withdrawn, 3), (_cancelled, 1),
                        (_payment, 20), (_payment_back, 4), (_cards, 4), (_balance, 12), (_consent_back, 2), (_score, 8),
                        (_watch, 2), (_name, 3), (_erased, 1))
