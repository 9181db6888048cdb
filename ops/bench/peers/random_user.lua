-- wrk: each request asks for another person of the first @PEOPLE@, in the server's own path layout.
local seed = 0
function setup(thread)
   seed = seed + 1
   thread:set("seed", seed)
end
function init(args)
   people = tonumber(args[1])
   shape = args[2]
   accept = args[3]
   math.randomseed(seed)
   if accept then headers = { ["Accept"] = accept } end
end
function request()
   local user = string.format("user-%08d", math.random(0, people - 1))
   return wrk.format("GET", (string.gsub(shape, "USER", user)), headers)
end
