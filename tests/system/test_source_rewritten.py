"""A log that isn't the one that was read stops its partition, says so, and harms nobody else."""

from source_support import is_stopped, position, publish_lenders, two_topics, wait_log, wait_position
from tarn.waiting import wait_until


def set_up(kafka, new_topic, publisher, programs, store, count=20):
    topics = two_topics(new_topic("lenders"), new_topic("others"))
    publish_lenders(publisher, topics["lender"], range(count))
    projector = programs.projector(store, kafka, topics)
    wait_position(projector, topics["lender"], count)
    return topics, projector


def wait_stopped(projector, topic, timeout_s=30):
    wait_until(lambda: is_stopped(projector, topic), f"{topic} to be stopped", timeout_s, alive=[projector.process])


def assert_others_go_on(projector, publisher, topics):
    at = position(projector, topics["identity"])
    publisher.publish(topics["identity"], "identity.v1.UserRenamed", {"userId": "u1", "name": "still"}, key="u1")
    publisher.flush()
    wait_position(projector, topics["identity"], at + 1)


def make_again(kafka, publisher, topic, count):
    kafka.delete_topic(topic)
    kafka.create_topic(topic)
    publish_lenders(publisher, topic, range(count), name="other")


def test_a_topic_made_again_with_more_records_while_stopped_is_not_read(kafka, new_topic, publisher, programs, store):
    topics, projector = set_up(kafka, new_topic, publisher, programs, store)
    projector.stop()
    make_again(kafka, publisher, topics["lender"], 60)
    projector.start(wait_ready=False)
    wait_stopped(projector, topics["lender"])
    wait_log(projector, "another record than the one that was handled; what the store holds")
    assert position(projector, topics["lender"]) == 20
    assert_others_go_on(projector, publisher, topics)
    projector.stop()
    projector.start(wait_ready=False)  # and it stays so
    wait_stopped(projector, topics["lender"])


def test_a_topic_made_again_with_more_records_while_running_is_noticed(kafka, new_topic, publisher, programs, store):
    topics, projector = set_up(kafka, new_topic, publisher, programs, store)
    make_again(kafka, publisher, topics["lender"], 60)
    wait_stopped(projector, topics["lender"], 60)
    wait_log(projector, "the topic deleted and made again")
    assert_others_go_on(projector, publisher, topics)


def test_a_topic_made_again_with_fewer_records_is_noticed(kafka, new_topic, publisher, programs, store):
    topics, projector = set_up(kafka, new_topic, publisher, programs, store)
    make_again(kafka, publisher, topics["lender"], 5)
    wait_stopped(projector, topics["lender"], 60)
    assert_others_go_on(projector, publisher, topics)


def test_records_deleted_before_they_were_handled_are_refused_in_one_sentence(kafka, new_topic, publisher, programs,
                                                                              store):
    topics, projector = set_up(kafka, new_topic, publisher, programs, store)
    projector.stop()
    publish_lenders(publisher, topics["lender"], range(30))
    kafka.delete_records(topics["lender"], 0, 35)
    projector.start(wait_ready=False)
    wait_stopped(projector, topics["lender"])
    wait_log(projector, "the log starts at offset 35, but 20 was to be read next; raise the topic's retention")
    assert projector.log().count("was to be read next") == 1
    assert_others_go_on(projector, publisher, topics)


def test_records_deleted_after_they_were_handled_change_nothing(kafka, new_topic, publisher, programs, store):
    topics, projector = set_up(kafka, new_topic, publisher, programs, store)
    kafka.delete_records(topics["lender"], 0, 20)
    projector.stop()
    projector.start()
    publish_lenders(publisher, topics["lender"], range(5))
    wait_position(projector, topics["lender"], 25)


def test_a_deleted_topic_is_said_to_be_gone(kafka, new_topic, publisher, programs, store):
    topics, projector = set_up(kafka, new_topic, publisher, programs, store)
    kafka.delete_topic(topics["lender"])
    wait_log(projector, f"topic {topics['lender']}: it isn't there any more")
    assert_others_go_on(projector, publisher, topics)
