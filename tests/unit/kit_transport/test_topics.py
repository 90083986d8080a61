from __future__ import annotations

from datetime import timedelta

from patchline_kit.transport.topics import PLAYBACK, declared_topics
from patchline_schemas import event_types


def test_every_event_has_its_topic_and_urgent_ones_their_twin_and_playbacks_one_of_their_own():
    topics = declared_topics(partitions=4)
    assert set(topics) == {PLAYBACK, *(name for kind in event_types().values() for name in kind.topics())}
    assert {topic.partitions for topic in topics.values()} == {4}
    assert "updates.assessed.urgent" in topics


def test_only_the_fleets_registrations_keep_the_newest_of_each_key():
    topics = declared_topics()
    assert {name for name, topic in topics.items() if topic.compacted} == {
        "fleet.group-registered",
        "fleet.group-removed",
        "fleet.target-registered",
        "fleet.target-removed",
    }


def test_dead_letters_and_seals_outlive_the_rest():
    topics = declared_topics(keep=timedelta(days=7))
    assert topics["updates.planned"].keep == timedelta(days=7)
    assert topics["dead-letters"].keep == timedelta(days=90)
    assert topics["ledger.sealed"].keep is None
