from gdws_agent.rate_limiter import RateLimiter


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_burst_passes_then_one_each_so_often():
    clock = Clock()
    allowance = RateLimiter(2, 10.0, 100, clock)

    assert [allowance.take("a") for _ in range(3)] == [0, 0, 10.0]
    assert not allowance.has("a")
    assert allowance.has("b")
    clock.now = 10.0
    assert allowance.has("a")
    assert [allowance.take("a") for _ in range(2)] == [0, 10.0]
    clock.now = 1_000.0
    assert [allowance.take("a") for _ in range(3)] == [0, 0, 10.0]


def test_looking_takes_no_token_and_stores_no_key():
    allowance = RateLimiter(1, 10.0, 100, Clock())
    assert [allowance.has("a") for _ in range(3)] == [True] * 3
    assert len(allowance) == 0


def test_the_key_used_longest_ago_is_forgotten():
    allowance = RateLimiter(1, 10.0, 2, Clock())
    for key in "abac":
        allowance.take(key)
    assert (len(allowance), allowance.has("a"), allowance.has("b")) == (2, False, True)
