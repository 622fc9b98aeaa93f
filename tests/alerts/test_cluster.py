"""Alerts and deliveries in a Redis Cluster: all their keys are on the node of the configuration."""

from dataclasses import replace

import pytest

from shared.alerts.deliveries import Deliveries, Position
from shared.alerts.delivery import Delivery, LastDelivery
from shared.alerts.stream import StoredAlert
from shared.alerts.writer import open_writer
from shared.config_store.client import open_everywhere
from tests.alerts.test_stream import NOW, opened
from tests.support.redis_sets import ClusterSet
from tests.support.wait import until_true

pytestmark = pytest.mark.slow


async def test_alert_is_told_read_and_delivered_in_a_cluster(cluster: ClusterSet) -> None:
    with open_everywhere(cluster.options) as client:
        client.flushall()
        writer = open_writer(cluster.options)
        writer.tell(opened())
        deliveries = Deliveries(client)
        await until_true(lambda: len(deliveries.alerts(Position(), 10).entries) == 1)
        assert writer.dropped == 0
        await writer.close()
        [told] = [StoredAlert.parse(*one) for one in deliveries.alerts(Position(), 10).entries]
        one = Delivery(owner="platform", webhook="hook_1", alert=told.id, event=told.kind, body="{}")
        deliveries.add([one], Position(told.id, 1))
        deliveries.note_reached("tenant_1", None, NOW)
        assert deliveries.reached(NOW, 10) == ["tenant_1"]
        assert deliveries.load(NOW) == (Position(told.id, 1), [one])
        last = LastDelivery(
            at=NOW,
            event=told.kind,
            delivery=one.id,
            status=500,
            milliseconds=1,
            tries=1,
            state="failed",
            error="The status is 500.",
        )
        again = replace(one, tries=1, next_at=NOW + 60)
        deliveries.keep(again, last)
        assert deliveries.load(NOW) == (Position(told.id, 1), [again])
        deliveries.end(again, last)
        assert (deliveries.load(NOW)[1], deliveries.last(["hook_1", "hook_2"])) == ([], {"hook_1": last})
