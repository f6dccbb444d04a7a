-- Numbers
print(7 // 2, -7 // 2, 7 % -3, -7 % 3, 7.5 // 2, 2 ^ 0.5, 1e15, 2 ^ 53, 10 / 2, 3 | 4, ~0, 1 << 62, 1 >> 1)
print(math.maxinteger + 1 == math.mininteger, math.tointeger(3.0), math.type(1), math.type(1.0), 0x7fffffffffffffff, 1 // 0.0, -1 % math.huge)
for i = 1, 10 do io.write(string.format("%.14g %.14g %.14g %.14g ", math.sin(i), math.exp(i), math.log(i, 2), math.atan(i, 3))) end
print()
print(pcall(function() return 1 // 0 end))
math.randomseed(42)
print(math.random(1, 100), math.random(1, 100), math.random())
print(string.format("%a %5.2f %d %x %q %s %-10s| %+g %i", 0.1, 3.14159, 42, 255, 'a "b"\n', {} ~= nil, "left", 1.5, 7))
-- Strings
print(("hello world"):gsub("o", "0"), ("key = value"):match("^(%w+)%s*=%s*(%w+)$"), ("abc"):rep(3, "-"), ("x"):byte(), ("%d"):format(3))
for k, v in ("a=1, b=2, c=3"):gmatch("(%w+)=(%w+)") do io.write(k, v, " ") end print()
print(("THE (quick) fox"):find("%((%a+)%)"), ("x"):rep(0) == "", ("äöü"):len(), utf8.len("äöü"), utf8.char(228, 8364, 128512))
for p, c in utf8.codes("aä€") do io.write(p, ":", c, " ") end print()
print(string.pack("<i4 >i2 z s1 d", 1, 2, "three", "four", 5.5):byte(1, -1))
print(string.unpack("<i4", "\1\2\3\4"))
print(("f(a(b)c)d"):match("%b()"), ("hello"):gsub("", "-"), ("abc"):gsub("%w", { a = "1", b = true }))
-- Tables
local t = {}
for i = 1, 1000 do t[i] = (i * 7919) % 1009 end
table.sort(t, function(a, b) return a > b end)
print(t[1], t[500], t[1000], #t, table.concat(t, ",", 1, 10), select("#", table.unpack(t, 1, 50)))
table.insert(t, 1, "first") table.remove(t, 3) print(t[1], t[2], t[3], #t, table.concat(table.move(t, 1, 3, 2, {}), " ", 2))
-- Closures, coroutines, metatables, goto
local function counter() local n = 0 return function() n = n + 1 return n end end
local a, b = counter(), counter() a() a() print(a(), b())
local function permute(list, n)
  n = n or #list
  if n <= 1 then coroutine.yield(table.concat(list)) else
    for i = 1, n do list[n], list[i] = list[i], list[n] permute(list, n - 1) list[n], list[i] = list[i], list[n] end
  end
end
local count = 0
for p in coroutine.wrap(function() permute({ "a", "b", "c", "d", "e", "f" }) end) do count = count + 1 if count % 144 == 0 then io.write(p, " ") end end
print(count)
local vector = {} vector.__index = vector
vector.__add = function(x, y) return setmetatable({ x = x.x + y.x }, vector) end
vector.__tostring = function(v) return "<" .. v.x .. ">" end
vector.__call = function(self, n) return self.x * n end
vector.__eq = function() return true end vector.__lt = function(x, y) return x.x < y.x end vector.__len = function() return 77 end
vector.__close = function() print("closed") end
do local v <close> = setmetatable({ x = 1 }, vector) local w = setmetatable({ x = 2 }, vector) print(tostring(v + w), v(21), v == w, v < w, #v) end
for i = 1, 3 do for j = 1, 3 do if j == 2 then goto continue end io.write(i, j, " ") ::continue:: end end print()
print(pcall(error, { code = 5 }), select(2, pcall(error, "message", 0)), xpcall(function() local x = nil; return x.y end, function(m) return "handled: " .. m end))
print(coroutine.resume(coroutine.create(function() error("inside") end)))
local function deep(n) return n == 0 and 0 or 1 + deep(n - 1) end
print(deep(10000), pcall(function() local function f() return 1 + f() end return f() end))
print(load("return 1 + 1")(), load("syntax error here"))
-- Garbage collection, files, time
local weak = setmetatable({}, { __mode = "k" }) for i = 1, 100 do weak[{}] = i end collectgarbage() print(next(weak))
local finalised = 0 for i = 1, 1000 do setmetatable({}, { __gc = function() finalised = finalised + 1 end }) end collectgarbage() collectgarbage() print(finalised)
local f = assert(io.open("lua.txt", "w")) f:write("line one\n", 2, " ", 3.5, "\nlast") f:close()
for line in io.lines("lua.txt") do io.write("[", line, "]") end print()
f = io.open("lua.txt") print(f:read("l", "n", "n", "a")) print(f:seek("set", 5), f:read(3), f:seek("end")) f:close()
print(io.open("/nowhere/x"), os.getenv("HOME"), os.time({ year = 2024, month = 2, day = 30, hour = 12 }), os.date("!%Y-%m-%d %H:%M:%S", 86400))
print(os.execute("exit 3"), io.popen("echo from a pipe"):read("a"), os.rename("lua.txt", "lua2.txt"), os.remove("lua2.txt"))
-- Work
local function queens(n)
  local found, columns, up, down = 0, {}, {}, {}
  local function place(r)
    if r > n then found = found + 1 return end
    for c = 1, n do
      if not (columns[c] or up[r + c] or down[r - c]) then
        columns[c], up[r + c], down[r - c] = true, true, true
        place(r + 1)
        columns[c], up[r + c], down[r - c] = nil, nil, nil
      end
    end
  end
  place(1)
  return found
end
print(queens(8))
local function mandelbrot(size)
  local sum = 0
  for y = 0, size - 1 do for x = 0, size - 1 do
    local cr, ci, zr, zi, n = 3 * x / size - 2, 2 * y / size - 1, 0, 0, 0
    while n < 50 and zr * zr + zi * zi < 4 do zr, zi, n = zr * zr - zi * zi + cr, 2 * zr * zi + ci, n + 1 end
    sum = sum + n
  end end
  return sum
end
print(mandelbrot(100))
local s = {} for i = 1, 50000 do s[#s + 1] = tostring(i * 1.5) end print(#table.concat(s))
