"""What each caller may have at the same time: open jobs, and bytes of inputs.

A job counts as open from before its input arrives until it ends, and its input until its record
expires. Every change is a script, so that requests at the same time cannot pass a limit together.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, NamedTuple, cast

from redis import Redis

_LEASE_SECONDS = 3600
"""How long a job without a record counts after its last count: its server may have died."""

_AT_ONCE = 100
"""How many jobs one script looks at: Redis does nothing else meanwhile."""

# The scripts know jobs by their id and owner, joined by a blank.
_FORGET = """
local function forget(job)
  local id, owner = job:match('^(%S+) (.*)$')
  -- A full Redis allows this one, and then the rest of the script.
  if redis.call('zrem', 'gpserve:due', job) == 0 then return end
  redis.call('zrem', 'gpserve:open:' .. owner, id)
  redis.call('zrem', 'gpserve:owner:' .. owner, id)
  local size = tonumber(redis.call('hget', 'gpserve:size', id) or 0)
  redis.call('hdel', 'gpserve:size', id)
  if redis.call('hincrby', 'gpserve:bytes', owner, 0 - size) <= 0 then
    redis.call('hdel', 'gpserve:bytes', owner)
  end
end
"""
_FORGET_EXPIRED = """
local now, ttl, lease = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local due = redis.call('zrangebyscore', 'gpserve:due', '-inf', now, 'limit', 0, ARGV[4])
for _, job in ipairs(due) do
  local id, owner = job:match('^(%S+) (.*)$')
  local left = redis.call('pttl', 'gpserve:job:' .. id)  -- -2: no record, -1: one without an end
  local last_count = left == -2 and redis.call('zscore', 'gpserve:open:' .. owner, id)
  if left == -2 and (not last_count or now - last_count > lease) then
    forget(job)
  else
    local seconds = left == -2 and lease or left == -1 and ttl or left / 1000
    redis.call('zadd', 'gpserve:due', now + seconds + 1, job)
  end
end
"""
_HOLD = """
local id, owner, size = ARGV[5], ARGV[6], tonumber(ARGV[7])
local most_open, most_bytes = tonumber(ARGV[8]), tonumber(ARGV[9])
local open = 'gpserve:open:' .. owner

local function is_one_too_many()
  return not redis.call('zscore', open, id) and redis.call('zcard', open) >= most_open
end

if is_one_too_many() then  -- older versions did not note when to look at a job
  for _, other in ipairs(redis.call('zrangebyscore', open, '-inf', now - lease)) do
    if redis.call('exists', 'gpserve:job:' .. other) == 1 then
      redis.call('zadd', open, now, other)
    else
      redis.call('zrem', open, other)
    end
  end
  if is_one_too_many() then return {'open', 0, #due} end
end

local held = tonumber(redis.call('hget', 'gpserve:size', id) or 0)
local others = tonumber(redis.call('hget', 'gpserve:bytes', owner) or 0) - held
if others + size > most_bytes then return {'bytes', others, #due} end
redis.call('zadd', open, now, id)
redis.call('hset', 'gpserve:size', id, size)
redis.call('hincrby', 'gpserve:bytes', owner, size - held)
redis.call('zadd', 'gpserve:due', now + math.min(ttl, lease), id .. ' ' .. owner)
return {'', others, #due}
"""


class Held(NamedTuple):
    """Which limit a job would pass, if any, and how many bytes its owner's other jobs have."""

    refused: Literal["", "open", "bytes"]
    others: int


class Quotas:
    """Counts the jobs of each owner.

    Parameters
    ----------
    ttl_seconds : how long a job's record is kept after its end
    """

    def __init__(self, redis: Redis, ttl_seconds: float) -> None:
        self._ttl = int(ttl_seconds)
        self._hold = redis.register_script(_FORGET + _FORGET_EXPIRED + _HOLD)
        self._release = redis.register_script(_FORGET + "forget(ARGV[1])")

    def hold(self, id: str, owner: str, size: int, most_open: int, most_bytes: int) -> Held:
        """Count a job as open and its input as `size` bytes, unless a limit would be passed.

        This comes before the input, while it arrives, and when its size is known.
        """
        now = datetime.now(UTC).timestamp()
        expired: list[int | float | str] = [now, self._ttl, _LEASE_SECONDS, _AT_ONCE]
        while True:
            said = self._hold(args=[*expired, id, owner, size, most_open, most_bytes])
            refused, others, due = cast(tuple[bytes, int, int], said)
            if not refused or due < _AT_ONCE:  # else more may have expired
                return Held(cast(Literal["", "open", "bytes"], refused.decode()), others)

    def release(self, id: str, owner: str) -> None:
        """Stop counting a job that was refused."""
        self._release(args=[f"{id} {owner}"])
