-- wrk asks for learners at random, each connection's thread in its own order; the same requests go
-- to Covey and to the static answer. COVEY_BENCH_LEARNERS is how many there are.
local learners = tonumber(os.getenv("COVEY_BENCH_LEARNERS"))
local made = 0

function setup(thread)
  made = made + 1
  thread:set("number", made)
end

function init()
  math.randomseed(number)
end

function request()
  return string.format("GET /v1/learners/sim-%07d HTTP/1.1\r\nHost: localhost\r\n\r\n",
    math.random(0, learners - 1))
end
