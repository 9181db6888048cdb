-- wrk: each request asks for another person. Arguments: how many there are, the path with USER in it, an Accept header.
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
   if accept and accept ~= "" then headers = { ["Accept"] = accept } end
end
function request()
   local user = string.format("u-%07d", math.random(0, people - 1))
   return wrk.format("GET", (string.gsub(shape, "USER", user)), headers)
end
