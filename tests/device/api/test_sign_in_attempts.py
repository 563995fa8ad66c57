from gdws_agent.api.sign_in_attempts import Attempts


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_burst_is_counted_then_one_each_so_often():
    clock = Clock()
    attempts = Attempts(burst=3, refill_s=6.0, clock=clock)

    assert [attempts.count("10.0.0.1") for _ in range(5)] == [0, 0, 0, 6.0, 6.0]
    clock.now = 4.0
    assert attempts.count("10.0.0.1") == 2.0
    clock.now = 6.0
    assert [attempts.count("10.0.0.1") for _ in range(2)] == [0, 6.0]


def test_addresses_are_counted_apart_and_those_of_one_ipv6_network_together():
    attempts = Attempts(burst=1, clock=Clock())

    assert attempts.count("10.0.0.1") == 0
    assert attempts.count("10.0.0.2") == 0
    assert attempts.count("fd00::1") == 0
    assert attempts.count("fd00::ffff") > 0
    assert attempts.count("fd00:0:0:1::1") == 0
    assert attempts.count("no address") == 0


def test_memory_is_bounded_and_the_address_heard_longest_ago_is_forgotten():
    attempts = Attempts(burst=1, max_addresses=100, clock=Clock())
    for number in range(1_000):
        attempts.count(f"10.0.{number // 256}.{number % 256}")

    assert len(attempts) == 100
    assert attempts.count("10.0.3.231") > 0  # the last
    assert attempts.count("10.0.0.0") == 0
