"""What the pretend coordinator says to releases and acquires, one after the other."""

from pretend import grant, refusal


def advise(pretend, *advices):
    """The first releases that report a failure get these advices; all others are done."""
    left = list(advices)

    def answer(item):
        failed = "error" in item or item.get("status", 200) >= 400
        advice = left.pop(0) if failed and left else {"action": "done", "after_ms": 0, "reason": "settled"}
        return {"status": 200, "settled": {"requests": 1}, "advice": advice}

    pretend.on_release = answer


def retry(n=1, **facts):
    return {"action": "retry", "after_ms": 60_000, "ticket": f"tk_{n:016x}", "reason": "wait", **facts}


def fallback(n=1, resource="b"):
    return {"action": "fallback", "after_ms": 0, "ticket": f"tk_{n:016x}", "reason": "overload", "resource": resource}


def give_up(reason="bad_request", **facts):
    return {"action": "give_up", "after_ms": 0, "reason": reason, **facts}


def answer_with(pretend, *lines):
    """Acquires are answered by these, one after the other: facts to add to a grant, or (status, code, facts) of a refusal."""
    left = list(lines)

    async def answer(items, reply):
        reply.start()
        for index, item in enumerate(items):
            line = left.pop(0) if left else {}
            if isinstance(line, tuple):
                status, code, facts = line
                reply.line(refusal(index, item, status, code, **facts))
            else:
                reply.line({**grant(index, item, line.get("lease") or pretend.lease()), **line})
        reply.end()

    pretend.on_acquire = answer


def asked(pretend):
    """All that was asked for, in order."""
    return [item for array in pretend.arrays for item in array]


class ProviderError(Exception):
    """An exception of the shape of the providers' packages."""

    def __init__(self, status_code=429, body=None):
        super().__init__(f"status {status_code}")
        self.status_code = status_code
        self.body = body


class Failing:
    """Fails as often as it was told, then answers. Keeps the leases it was called under."""

    def __init__(self, *errors, answer=None):
        self.errors = list(errors)
        self.leases = []
        self.answer = answer or {"usage": {"prompt_tokens": 5, "completion_tokens": 2}, "text": "hello"}

    def __call__(self, lease):
        self.leases.append(lease)
        if self.errors:
            raise self.errors.pop(0)
        return self.answer
