# bc and dc: digits of pi and more.
# seconds: 300
source /programs/support/steps.bash
need bc
digits=$(size 500 2000)
echo "scale=$digits; 4*a(1)" | BC_LINE_LENGTH=0 bc -l
bc -l <<'BC'
scale = 60
e(1); l(2); s(1); c(1); a(2); j(0, 1); sqrt(2)
2 ^ 1000
obase = 16; 3 ^ 100; 0.1
obase = 10; ibase = 16; DEADBEEF
ibase = A
define f(n) { if (n <= 1) return (1); return (n * f(n - 1)); }
f(200)
define g(n) { auto a, b, t; a = 0; b = 1; while (n-- > 0) { t = a + b; a = b; b = t; }; return (a); }
g(1000)
for (i = 2; i < 40; i++) { p = 1; for (j = 2; j * j <= i; j++) if (i % j == 0) p = 0; if (p) print i, " "; }
"
"
scale = 0; 10 ^ 50 / 7 ^ 20 % 1000
x[3] = 5; x[3] ^ x[3]
1 / 0
length(12345.678); scale(1.23)
quit
BC
echo "[$?]"
