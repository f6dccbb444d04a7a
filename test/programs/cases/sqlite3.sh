# sqlite3 loads rows, indexes and queries them.
# seconds: 300
source /programs/support/steps.bash
need sqlite3
cd /tmp || exit
rows=$(size 20000 200000)
awk -v n="$rows" 'BEGIN { s = 1; for (i = 1; i <= n; i++) { s = (s * 16807) % 2147483647; printf "%d,name%d,%.3f,%d\n", i, s % 5000, s / 1000, s % 100 } }' >rows.csv
md5sum rows.csv
sqlite3 test.db <<'SQL'
PRAGMA journal_mode = WAL;
CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, value REAL, kind INTEGER);
.mode csv
.import rows.csv t
SELECT count(*), sum(value), avg(value), min(name), max(name) FROM t;
CREATE INDEX t_name ON t (name);
CREATE INDEX t_kind ON t (kind, value);
SELECT kind, count(*), round(sum(value), 3) FROM t GROUP BY kind ORDER BY 3 DESC LIMIT 10;
SELECT a.id, b.id FROM t a JOIN t b ON a.name = b.name AND a.id < b.id ORDER BY 1, 2 LIMIT 5;
UPDATE t SET value = value * 1.5 WHERE kind % 3 = 0;
DELETE FROM t WHERE name LIKE '%77';
SELECT count(*), total(value) FROM t;
WITH RECURSIVE f(n, a, b) AS (SELECT 1, 0, 1 UNION ALL SELECT n + 1, b, a + b FROM f WHERE n < 80) SELECT n, a FROM f WHERE n % 20 = 0;
SELECT printf('%.15g', value), hex(name), substr(name, -3), upper(name) FROM t WHERE id IN (SELECT id FROM t ORDER BY value LIMIT 5);
SELECT name, row_number() OVER (ORDER BY value), sum(value) OVER (PARTITION BY kind ORDER BY id ROWS 3 PRECEDING) FROM t WHERE kind = 5 LIMIT 5;
SELECT json_extract('{"a": [1, 2, {"b": 3.25}]}', '$.a[2].b'), sqrt(2), sin(1), exp(1.5), pow(2, 0.5);
CREATE VIRTUAL TABLE words USING fts5(body);
INSERT INTO words SELECT group_concat(name, ' ') FROM t GROUP BY kind;
SELECT rowid FROM words WHERE words MATCH 'name77* OR name12' ORDER BY rank LIMIT 5;
BEGIN; DELETE FROM t; SELECT count(*) FROM t; ROLLBACK;
SELECT count(*) FROM t;
SELECT date('2024-02-29', '+1 year'), strftime('%j %W', '2024-12-31'), julianday('2000-01-01');
VACUUM;
PRAGMA integrity_check;
.mode column
.headers on
EXPLAIN QUERY PLAN SELECT * FROM t WHERE name = 'x';
SELECT * FROM nothing;
SQL
echo "[$?]"
sqlite3 test.db .dump | md5sum
sqlite3 test.db 'PRAGMA page_count'
