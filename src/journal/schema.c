#include "journal/schema.h"

#include <string.h>

#include "base/error.h"
#include "journal/journal.h"

/* What the check of a file says of a page for which there was no memory. */
#define NO_MEMORY_WORDS "unable to get the page. error code=7"

/* What a record does not have is NULL: no parent, an empty text. Numbers of leases are 64 bits
 * without a sign, kept as SQLite's signed ones. */
static const char schema_1[] =
    "CREATE TABLE record (\n"
    "  seq INTEGER PRIMARY KEY,       -- the order in which things happened\n"
    "  kind INTEGER NOT NULL,         -- 1 grant, 2 renew, 3 settle, 4 expire, 6 cancel\n"
    "  at_us INTEGER NOT NULL,        -- grant, renew: when the lease was granted\n"
    "  lease INTEGER NOT NULL,\n"
    "  requests INTEGER NOT NULL,     -- grant, renew: what is held; else what was used\n"
    "  tokens INTEGER NOT NULL,\n"
    "  input_tokens INTEGER NOT NULL,\n"
    "  output_tokens INTEGER NOT NULL,\n"
    "  slots INTEGER NOT NULL,\n"
    "  usd_pico INTEGER NOT NULL,     -- 10^-12 USD\n"
    "  expires_us INTEGER NOT NULL,\n"
    "  priority INTEGER NOT NULL,\n"
    "  attempt INTEGER NOT NULL,\n"
    "  waited_us INTEGER NOT NULL,\n"
    "  late INTEGER NOT NULL,         -- settle: 1 where the lease had expired before\n"
    "  parent INTEGER,                -- the lease of the agent that asked\n"
    "  resource TEXT,\n"
    "  tenant TEXT,\n"
    "  session TEXT,\n"
    "  labels TEXT,                   -- lines of key=value\n"
    "  id TEXT                        -- the caller's own\n"
    ") STRICT;\n"
    "CREATE TABLE counter (\n"
    "  resource TEXT NOT NULL,        -- '' where the limit is shared by several\n"
    "  limit_name TEXT NOT NULL,\n"
    "  scope_key TEXT NOT NULL,       -- '' for the whole resource\n"
    "  at_us INTEGER NOT NULL,\n"
    "  expires_us INTEGER NOT NULL,   -- then it no longer matters; 2^63-1: it always does\n"
    "  period_us INTEGER NOT NULL,    -- when the period began, or when `level` held\n"
    "  used INTEGER NOT NULL,         -- of a bucket: what it lacks\n"
    "  level INTEGER NOT NULL,        -- of a bucket; by calendar: when the period ends\n"
    "  PRIMARY KEY (resource, limit_name, scope_key)\n"
    ") STRICT, WITHOUT ROWID;\n"
    "CREATE INDEX counter_spent ON counter (expires_us) WHERE expires_us < 9223372036854775807;\n"
    "CREATE VIEW history AS\n"
    "  SELECT seq, CASE kind WHEN 1 THEN 'grant' WHEN 2 THEN 'renew' WHEN 3 THEN 'settle'\n"
    "                        WHEN 4 THEN 'expire' WHEN 6 THEN 'cancel' END AS what,\n"
    "    strftime('%Y-%m-%dT%H:%M:%S', at_us / 1000000, 'unixepoch') AS at_utc,\n"
    "    printf('ls_%016x', lease) AS lease, resource, tenant, session, requests, tokens,\n"
    "    input_tokens, output_tokens, usd_pico / 1e12 AS usd, late\n"
    "  FROM record;\n";

/* What tells leases apart that a limit counts from those that ended before it came in force, and
 * the period by the wall clock in which each was counted. */
static const char schema_2[] =
    "ALTER TABLE counter ADD COLUMN since_us INTEGER NOT NULL DEFAULT 0\n"
    "  /* when the limit came in force */;\n"
    "ALTER TABLE record ADD COLUMN skew_us INTEGER /* wall clock minus at_us; NULL: none */;\n";

/*
 * The ledger: one row for each call that was settled, or that ended without a word and was charged.
 * `usage_hour` is its sums by hour and by who used what, kept in the same transactions, so that a
 * question about a month does not read all rows of it. Money is summed in two parts, thousandths of
 * a dollar and the picodollars beyond them, since a sum of picodollars alone leaves 64 bits at nine
 * million dollars. The view `usage` is for people.
 */
static const char schema_3[] =
    "CREATE TABLE ledger (\n"
    "  seq INTEGER PRIMARY KEY,\n"
    "  at_us INTEGER NOT NULL,        -- when it was booked, by the wall clock\n"
    "  lease INTEGER NOT NULL,\n"
    "  resource TEXT NOT NULL,\n"
    "  account TEXT,                  -- which one of the resource's pool\n"
    "  model TEXT,\n"
    "  route TEXT,                    -- the route that was asked for\n"
    "  step INTEGER,                  -- which of the route's resources served, from 1\n"
    "  tenant TEXT,\n"
    "  session TEXT,\n"
    "  labels TEXT,                   -- lines of key=value\n"
    "  outcome TEXT NOT NULL,         -- ok, expired, or how the provider refused\n"
    "  attempt INTEGER NOT NULL,\n"
    "  late INTEGER NOT NULL,         -- 1 where the lease had expired before\n"
    "  waited_us INTEGER NOT NULL,\n"
    "  held_us INTEGER NOT NULL,      -- from the grant to the end of the lease\n"
    "  requests INTEGER NOT NULL,\n"
    "  tokens INTEGER NOT NULL,       -- all; the parts below may say less\n"
    "  input INTEGER NOT NULL,        -- neither read from a cache nor written to one\n"
    "  cache_read INTEGER NOT NULL,\n"
    "  cache_write_5m INTEGER NOT NULL,\n"
    "  cache_write_1h INTEGER NOT NULL,\n"
    "  output INTEGER NOT NULL,\n"
    "  usd_pico INTEGER NOT NULL      -- 10^-12 USD\n"
    ") STRICT;\n"
    "CREATE INDEX ledger_time ON ledger (at_us);\n"
    "CREATE INDEX ledger_session ON ledger (session) WHERE session IS NOT NULL;\n"
    "CREATE INDEX ledger_expired ON ledger (lease) WHERE outcome = 'expired';\n"
    "CREATE TABLE usage_hour (\n"
    "  hour INTEGER NOT NULL,         -- since 1970 UTC\n"
    "  resource TEXT NOT NULL,\n"
    "  account TEXT NOT NULL,         -- '' where the ledger has NULL\n"
    "  model TEXT NOT NULL,\n"
    "  route TEXT NOT NULL,\n"
    "  tenant TEXT NOT NULL,\n"
    "  calls INTEGER NOT NULL,\n"
    "  errors INTEGER NOT NULL,       -- neither ok nor expired\n"
    "  expired INTEGER NOT NULL,\n"
    "  waited_us INTEGER NOT NULL,\n"
    "  held_us INTEGER NOT NULL,\n"
    "  requests INTEGER NOT NULL,\n"
    "  tokens INTEGER NOT NULL,\n"
    "  input INTEGER NOT NULL,\n"
    "  cache_read INTEGER NOT NULL,\n"
    "  cache_write_5m INTEGER NOT NULL,\n"
    "  cache_write_1h INTEGER NOT NULL,\n"
    "  output INTEGER NOT NULL,\n"
    "  usd_milli INTEGER NOT NULL,    -- sum of usd_pico / 10^9\n"
    "  usd_rest INTEGER NOT NULL,     -- sum of usd_pico % 10^9\n"
    "  PRIMARY KEY (hour, tenant, resource, account, model, route)\n"
    ") STRICT, WITHOUT ROWID;\n"
    "CREATE VIEW usage AS\n"
    "  SELECT strftime('%Y-%m-%dT%H:%M:%fZ', at_us / 1e6, 'unixepoch') AS at_utc,\n"
    "    printf('ls_%016x', lease) AS lease, resource, account, model, route, step, tenant,\n"
    "    session, replace(rtrim(labels, char(10)), char(10), ' ') AS labels, outcome, attempt, "
    "late,\n"
    "    waited_us / 1000 AS waited_ms, held_us / 1000 AS held_ms, requests, tokens, input,\n"
    "    cache_read, cache_write_5m, cache_write_1h, output, usd_pico / 1e12 AS usd\n"
    "  FROM ledger;\n";

/* A limit may count one route's requests: a lease that comes back is to be charged to it. */
static const char schema_4[] =
    "ALTER TABLE record ADD COLUMN route TEXT /* the route that was asked for */;\n"
    "ALTER TABLE record ADD COLUMN step INTEGER\n"
    "  /* which of the route's resources served, from 1; NULL: none was asked for */;\n";

#define RECORD_COLUMNS                                                                             \
    "  SELECT sheet.seq + r.key AS seq,\n"                                                         \
    "    r.value ->> 0 AS kind,       -- 1 grant, 2 renew, 3 settle, 4 expire, 6 cancel\n"         \
    "    r.value ->> 1 AS at_us,      -- grant, renew: when the lease was granted\n"               \
    "    r.value ->> 2 AS lease,\n"                                                                \
    "    r.value ->> 3 AS requests,   -- grant, renew: what is held; else what was used\n"         \
    "    r.value ->> 4 AS tokens,\n"                                                               \
    "    r.value ->> 5 AS input_tokens,\n"                                                         \
    "    r.value ->> 6 AS output_tokens,\n"                                                        \
    "    r.value ->> 7 AS slots,\n"                                                                \
    "    r.value ->> 8 AS usd_pico,   -- 10^-12 USD\n"                                             \
    "    r.value ->> 9 AS expires_us,\n"                                                           \
    "    r.value ->> 10 AS priority,\n"                                                            \
    "    r.value ->> 11 AS attempt,\n"                                                             \
    "    r.value ->> 12 AS waited_us,\n"                                                           \
    "    r.value ->> 13 AS late,      -- settle: 1 where the lease had expired before\n"           \
    "    nullif(r.value ->> 14, 0) AS parent,    -- the lease of the agent that asked\n"           \
    "    r.value ->> 15 AS skew_us,   -- wall clock minus at_us\n"                                 \
    "    nullif(r.value ->> 16, 0) AS step,      -- which of the route's resources served\n"       \
    "    nullif(r.value ->> 17, '') AS resource,\n"                                                \
    "    nullif(r.value ->> 18, '') AS tenant,\n"                                                  \
    "    nullif(r.value ->> 19, '') AS session,\n"                                                 \
    "    nullif(r.value ->> 20, '') AS labels,   -- lines of key=value\n"                          \
    "    nullif(r.value ->> 21, '') AS id,       -- the caller's own\n"                            \
    "    nullif(r.value ->> 22, '') AS route"

#define HISTORY_VIEW                                                                               \
    "CREATE VIEW history AS\n"                                                                     \
    "  SELECT seq, CASE kind WHEN 1 THEN 'grant' WHEN 2 THEN 'renew' WHEN 3 THEN 'settle'\n"       \
    "                        WHEN 4 THEN 'expire' WHEN 6 THEN 'cancel' END AS what,\n"             \
    "    strftime('%Y-%m-%dT%H:%M:%S', at_us / 1000000, 'unixepoch') AS at_utc,\n"                 \
    "    printf('ls_%016x', lease) AS lease, resource, tenant, session, requests, tokens,\n"       \
    "    input_tokens, output_tokens, usd_pico / 1e12 AS usd, late\n"                              \
    "  FROM record;\n"

/*
 * Records by the sheet: a row of numbers and texts for each cost more than all else. `record` is a
 * view from now on, of which `seq` is the sheet's and the place on it. And the rows of the ledger
 * need no index by time: the sums of an hour know where its rows are. Those of before are said to
 * be where any of their hour are.
 */
static const char schema_5[] =
    "DROP VIEW history;\n"
    "CREATE TABLE sheet (\n"
    "  seq INTEGER PRIMARY KEY,       -- of its first record: the order in which things happened\n"
    "  records_n INTEGER NOT NULL,\n"
    "  emitted_us INTEGER NOT NULL,   -- when its last record was written down …\n"
    "  exact INTEGER NOT NULL,        -- … or, where this is 0, at the latest\n"
    "  records TEXT NOT NULL          -- JSON: [[kind, at_us, …], …], as in the view `record`\n"
    ") STRICT;\n"
    "INSERT INTO sheet SELECT seq, 1, CASE kind WHEN 2 THEN expires_us ELSE at_us END, kind <> 2,\n"
    "  json_array(json_array(kind, at_us, lease, requests, tokens, input_tokens, output_tokens,\n"
    "    slots, usd_pico, expires_us, priority, attempt, waited_us, late, coalesce(parent, 0),\n"
    "    coalesce(skew_us, 0), coalesce(step, 0), coalesce(resource, ''), coalesce(tenant, ''),\n"
    "    coalesce(session, ''), coalesce(labels, ''), coalesce(id, ''), coalesce(route, '')))\n"
    "  FROM record;\n"
    "DROP TABLE record;\n"
    "CREATE VIEW record AS\n" RECORD_COLUMNS "\n"
    "  FROM sheet, json_each(sheet.records) AS r;\n" HISTORY_VIEW
    "ALTER TABLE usage_hour ADD COLUMN first_seq INTEGER NOT NULL DEFAULT 0\n"
    "  /* no row of the ledger that is summed up here comes before this one … */;\n"
    "ALTER TABLE usage_hour ADD COLUMN last_seq INTEGER NOT NULL DEFAULT 0\n"
    "  /* … nor after this one */;\n"
    "UPDATE usage_hour SET first_seq = span.first, last_seq = span.last FROM\n"
    "  (SELECT at_us / 3600000000 AS hour, min(seq) AS first, max(seq) AS last FROM ledger\n"
    "   GROUP BY 1) AS span WHERE usage_hour.hour = span.hour;\n"
    "DROP INDEX ledger_time;\n";

/*
 * What answers have made of resources and have taught of limits: a restart is no event for a
 * provider. And what was advised after a call, for whoever asks again: the last members of a
 * record, which others do not have.
 */
static const char schema_6[] =
    "CREATE TABLE health (\n"
    "  resource TEXT NOT NULL PRIMARY KEY,\n"
    "  at_us INTEGER NOT NULL,\n"
    "  expires_us INTEGER NOT NULL,   -- then it no longer matters; 2^63-1: it does until "
    "replaced\n"
    "  state TEXT NOT NULL,           -- as GET /v1/resources says it\n"
    "  why TEXT NOT NULL,             -- the answer that led there\n"
    "  reason TEXT NOT NULL,          -- in the provider's words\n"
    "  since_us INTEGER NOT NULL,\n"
    "  until_us INTEGER NOT NULL,     -- 2^63-1: not by time\n"
    "  refusals INTEGER NOT NULL,     -- in a row\n"
    "  breaks INTEGER NOT NULL,       -- of the breaker in a row, which double its time\n"
    "  rate_ppm INTEGER NOT NULL,     -- recovering: of the limits' rate, at rate_at_us …\n"
    "  after_ppm INTEGER NOT NULL,    -- closed: to begin with\n"
    "  growth_ppm INTEGER NOT NULL,   -- … and what comes back each minute\n"
    "  rate_at_us INTEGER NOT NULL,\n"
    "  next_us INTEGER NOT NULL,      -- recovering: no grant before\n"
    "  incident_us INTEGER NOT NULL,  -- refusals of calls granted before say nothing new\n"
    "  cool_us INTEGER NOT NULL,      -- routes pass over it until then\n"
    "  probe INTEGER NOT NULL         -- the lease that probes; 0: none\n"
    ") STRICT, WITHOUT ROWID;\n"
    "CREATE TABLE learned (\n"
    "  resource TEXT NOT NULL,        -- '' where the limit is shared by several\n"
    "  limit_name TEXT NOT NULL,\n"
    "  at_us INTEGER NOT NULL,\n"
    "  expires_us INTEGER NOT NULL,\n"
    "  told INTEGER NOT NULL,         -- the amount by the provider's word; 0: none …\n"
    "  told_by INTEGER NOT NULL,      -- … to the call of this lease\n"
    "  guard_us INTEGER NOT NULL,     -- 0: as configured\n"
    "  guard_at_us INTEGER NOT NULL,\n"
    "  slots_milli INTEGER NOT NULL,  -- calls in flight that were found by trying, in "
    "thousandths\n"
    "  doubling_upto INTEGER NOT NULL,\n"
    "  PRIMARY KEY (resource, limit_name)\n"
    ") STRICT, WITHOUT ROWID;\n"
    "DROP VIEW history;\n"
    "DROP VIEW record;\n"
    "CREATE VIEW record AS\n" RECORD_COLUMNS ",\n"
    "    r.value ->> 23 AS advice,    -- settle: 1 retry, 2 fallback, 3 give_up; NULL: all is "
    "done\n"
    "    r.value ->> 24 AS again_us,  -- not to be tried again before\n"
    "    nullif(r.value ->> 25, '') AS reason\n"
    "  FROM sheet, json_each(sheet.records) AS r;\n" HISTORY_VIEW;

/*
 * Rows of the ledger that are narrow: each has the number of its sums, which have its names, and
 * what is not looked for in one text. What was the table `ledger` is a view from now on, and the
 * view `usage` of before goes on with that. The rows of expiries are found by runs of them
 * (expiry.h) and no longer by an index of each.
 */
static const char schema_7[] =
    "ALTER TABLE usage_hour RENAME TO hour_before;\n"
    "CREATE TABLE usage_hour (\n"
    "  id INTEGER PRIMARY KEY,\n"
    "  hour INTEGER NOT NULL,         -- since 1970 UTC\n"
    "  resource TEXT NOT NULL,\n"
    "  account TEXT NOT NULL,         -- '': none\n"
    "  model TEXT NOT NULL,\n"
    "  route TEXT NOT NULL,\n"
    "  tenant TEXT NOT NULL,\n"
    "  calls INTEGER NOT NULL,\n"
    "  errors INTEGER NOT NULL,       -- neither ok nor expired\n"
    "  expired INTEGER NOT NULL,\n"
    "  waited_us INTEGER NOT NULL,\n"
    "  held_us INTEGER NOT NULL,\n"
    "  requests INTEGER NOT NULL,\n"
    "  tokens INTEGER NOT NULL,\n"
    "  input INTEGER NOT NULL,\n"
    "  cache_read INTEGER NOT NULL,\n"
    "  cache_write_5m INTEGER NOT NULL,\n"
    "  cache_write_1h INTEGER NOT NULL,\n"
    "  output INTEGER NOT NULL,\n"
    "  usd_milli INTEGER NOT NULL,    -- sum of usd_pico / 10^9\n"
    "  usd_rest INTEGER NOT NULL,     -- sum of usd_pico % 10^9\n"
    "  first_seq INTEGER NOT NULL,    -- no row of the ledger is before …\n"
    "  last_seq INTEGER NOT NULL,     -- … nor after this one\n"
    "  UNIQUE (hour, tenant, resource, account, model, route)\n"
    ") STRICT;\n"
    "INSERT INTO usage_hour SELECT NULL, * FROM hour_before ORDER BY hour;\n"
    "DROP TABLE hour_before;\n"
    "INSERT OR IGNORE INTO usage_hour SELECT NULL, at_us / 3600000000, resource,\n"
    "  coalesce(account, ''), coalesce(model, ''), coalesce(route, ''), coalesce(tenant, ''),\n"
    "  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, seq, seq FROM ledger\n"
    "  WHERE (SELECT sum(calls) FROM usage_hour) IS NOT (SELECT count(*) FROM ledger);\n"
    "CREATE TABLE entry (\n"
    "  seq INTEGER PRIMARY KEY,\n"
    "  at_us INTEGER NOT NULL,        -- when it was booked, by the wall clock\n"
    "  lease INTEGER NOT NULL,\n"
    "  sums INTEGER NOT NULL,         -- id of usage_hour\n"
    "  session TEXT,\n"
    "  labels TEXT,                   -- lines of key=value\n"
    "  facts TEXT NOT NULL            -- JSON: [outcome, …], as in the view `ledger`\n"
    ") STRICT;\n"
    "INSERT INTO entry SELECT l.seq, at_us, lease, id, session, labels, json_array(outcome,\n"
    "  attempt, l.requests, l.tokens, l.held_us, l.waited_us, l.input, l.output, usd_pico,\n"
    "  l.cache_read, l.cache_write_5m, l.cache_write_1h, coalesce(step, 0), late)\n"
    "  FROM ledger AS l CROSS JOIN usage_hour AS s ON hour = at_us / 3600000000 AND\n"
    "  s.tenant = coalesce(l.tenant, '') AND s.resource = l.resource AND s.account =\n"
    "  coalesce(l.account, '') AND s.model = coalesce(l.model, '') AND s.route =\n"
    "  coalesce(l.route, '') ORDER BY l.seq;\n"
    "CREATE TABLE expiry (\n"
    "  lease INTEGER NOT NULL,        -- of the leases from this one …\n"
    "  first_seq INTEGER NOT NULL,    -- … and the rows of the ledger from this one …\n"
    "  last_lease INTEGER NOT NULL,   -- … to this one, some have expired, …\n"
    "  last_seq INTEGER NOT NULL,     -- … to this one, some tell of it\n"
    "  PRIMARY KEY (lease, first_seq)\n"
    ") STRICT, WITHOUT ROWID;\n"
    "INSERT INTO expiry SELECT lease, seq, lease, seq FROM ledger WHERE outcome = 'expired';\n"
    "DROP TABLE ledger;\n"
    "CREATE INDEX entry_session ON entry (session) WHERE session IS NOT NULL;\n"
    "CREATE VIEW ledger AS SELECT e.seq AS seq, e.at_us AS at_us, e.lease AS lease,\n"
    "  s.resource AS resource,\n"
    "  nullif(account, '') AS account,       -- which one of the resource's pool\n"
    "  nullif(model, '') AS model,\n"
    "  nullif(route, '') AS route,           -- the route that was asked for\n"
    "  nullif(facts ->> 12, 0) AS step,      -- which of its resources served, from 1\n"
    "  nullif(tenant, '') AS tenant, e.session AS session, e.labels AS labels,\n"
    "  facts ->> 0 AS outcome,               -- ok, expired, or how the provider refused\n"
    "  coalesce(facts ->> 1, 0) AS attempt,\n"
    "  coalesce(facts ->> 13, 0) AS late,    -- 1 where the lease had expired before\n"
    "  coalesce(facts ->> 5, 0) AS waited_us,\n"
    "  coalesce(facts ->> 4, 0) AS held_us,  -- from the grant to the end of the lease\n"
    "  coalesce(facts ->> 2, 0) AS requests,\n"
    "  coalesce(facts ->> 3, 0) AS tokens,   -- all; the parts below may say less\n"
    "  coalesce(facts ->> 6, 0) AS input,    -- neither from a cache nor to one\n"
    "  coalesce(facts ->> 9, 0) AS cache_read,\n"
    "  coalesce(facts ->> 10, 0) AS cache_write_5m,\n"
    "  coalesce(facts ->> 11, 0) AS cache_write_1h,\n"
    "  coalesce(facts ->> 7, 0) AS output,\n"
    "  coalesce(facts ->> 8, 0) AS usd_pico  -- 10^-12 USD\n"
    "FROM entry AS e LEFT JOIN usage_hour AS s ON s.id = e.sums;\n";

/*
 * What a limit counted of which a value is stored: one that has its name later may count something
 * else, and counts on nothing of it. Of values of before nobody knows.
 */
static const char schema_8[] =
    "ALTER TABLE counter ADD COLUMN counts TEXT NOT NULL DEFAULT ''\n"
    "  /* what the limit counts: unit, window, scope; '': not noted */;\n"
    "ALTER TABLE learned ADD COLUMN counts TEXT NOT NULL DEFAULT ''\n"
    "  /* as in the table counter */;\n"
    "ALTER TABLE learned ADD COLUMN per_us INTEGER NOT NULL DEFAULT 0\n"
    "  /* the length of the limit's window */;\n";

const char *const schema_steps[] = {schema_1, schema_2, schema_3, schema_4,
                                    schema_5, schema_6, schema_7, schema_8};
const size_t schema_steps_n = sizeof(schema_steps) / sizeof(schema_steps[0]);

_Static_assert(sizeof(schema_steps) / sizeof(schema_steps[0]) == JOURNAL_SCHEMA_VERSION,
               "one step for each version");

int schema_number(sqlite3 *db, const char *sql, sqlite3_int64 *number)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    if (rc != SQLITE_OK) {
        return rc;
    }
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        *number = sqlite3_column_int64(stmt, 0);
    }
    int end = sqlite3_finalize(stmt);
    return rc == SQLITE_ROW ? SQLITE_OK : end != SQLITE_OK ? end : SQLITE_ERROR;
}

/* The shell's own .recover is missing from some builds, Debian's among them; .dump reads a damaged
 * table from both ends. */
int schema_damaged(const char *path, const char *words, struct buf *why)
{
    buf_addf(why,
             "%s is damaged (%s) and was left as it is; to keep what can still be read: ", path,
             words);
    buf_addf(why, "mv %s %s.damaged; mv %s-wal %s.damaged-wal; ", path, path, path, path);
    buf_addf(why,
             "(sqlite3 %s.damaged .dump | sed 's/^ROLLBACK.*/COMMIT;/'; "
             "echo 'PRAGMA application_id=%d; PRAGMA user_version=%d;') | sqlite3 %s; ",
             path, SCHEMA_APPLICATION_ID, JOURNAL_SCHEMA_VERSION, path);
    buf_add_str(why, "or move it aside and start anew: what was held or used so far is then not "
                     "counted");
    return ERR_STORE_DAMAGED;
}

static const char *remedy(int sqlite_rc)
{
    switch (sqlite_rc & 0xff) {
    case SQLITE_FULL: return "; make room there, and start again";
    case SQLITE_READONLY: return "; give `store` (or --store) a path that this user may write";
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return "; another program holds it, let that finish, and start again";
    default: return "";
    }
}

int schema_trouble(sqlite3 *db, int sqlite_rc, const char *path, struct buf *why)
{
    const char *words = db ? sqlite3_errmsg(db) : sqlite3_errstr(sqlite_rc);
    switch (sqlite_rc & 0xff) {
    case SQLITE_NOMEM: buf_addf(why, "out of memory while reading %s", path); return ERR_NO_MEMORY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return schema_damaged(path, words, why);
    default: buf_addf(why, "%s: %s%s", path, words, remedy(sqlite_rc)); return ERR_STORE_FAILED;
    }
}

int schema_word(sqlite3 *db, const char *path, const char *sql, char word[SCHEMA_WORD_MAX],
                struct buf *why)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(stmt);
    }
    int code = 0;
    if (rc != SQLITE_ROW) {
        code = schema_trouble(db, rc, path, why);
    } else {
        const char *found = (const char *)sqlite3_column_text(stmt, 0);
        if (found) {
            sqlite3_snprintf(SCHEMA_WORD_MAX, word, "%s", found);
        } else {
            code = schema_trouble(db, SQLITE_NOMEM, path, why);
        }
    }
    sqlite3_finalize(stmt);
    return code;
}

int schema_check(sqlite3 *db, const char *path, bool whole, struct buf *why)
{
    char found[SCHEMA_WORD_MAX];
    const char *sql = whole ? "PRAGMA quick_check(1)" : "PRAGMA quick_check('counter')";
    int code = schema_word(db, path, sql, found, why);
    if (code != 0 || strcmp(found, "ok") == 0) {
        return code;
    }
    return strstr(found, NO_MEMORY_WORDS) ? schema_trouble(NULL, SQLITE_NOMEM, path, why)
                                          : schema_damaged(path, found, why);
}

static int read_identity(sqlite3 *db, sqlite3_int64 *application, sqlite3_int64 *tables,
                         sqlite3_int64 *version)
{
    int rc = schema_number(db, "PRAGMA application_id", application);
    if (rc == SQLITE_OK) {
        rc = schema_number(db, "SELECT count(*) FROM sqlite_schema", tables);
    }
    return rc == SQLITE_OK ? schema_number(db, "PRAGMA user_version", version) : rc;
}

int schema_version(sqlite3 *db, const char *path, size_t newest, size_t *version, struct buf *why)
{
    sqlite3_int64 application = 0;
    sqlite3_int64 tables = 0;
    sqlite3_int64 found = 0;
    int rc = read_identity(db, &application, &tables, &found);
    if (rc != SQLITE_OK) {
        return schema_trouble(db, rc, path, why);
    }
    if (application != SCHEMA_APPLICATION_ID && (application != 0 || tables != 0)) {
        buf_addf(why, "%s is a database of another program; give `store` another path", path);
        return ERR_STORE_FAILED;
    }
    if (found < 0 || (found == 0) != (tables == 0)) {
        return schema_damaged(path, "its version and its tables do not agree", why);
    }
    if (found > (sqlite3_int64)newest) {
        buf_addf(why,
                 "%s has version %lld and this sluice knows up to %zu; start the newer sluice that "
                 "wrote it, or give `store` another path",
                 path, (long long)found, newest);
        return ERR_STORE_NEWER;
    }
    *version = (size_t)found;
    return 0;
}

static int set_version(sqlite3 *db, size_t version)
{
    char sql[96];
    sqlite3_snprintf(sizeof(sql), sql, "PRAGMA user_version=%u; PRAGMA application_id=%d",
                     (unsigned)version, SCHEMA_APPLICATION_ID);
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

int schema_migrate(sqlite3 *db, const char *path, size_t version, const char *const *steps,
                   size_t steps_n, struct buf *why)
{
    if (version == steps_n) {
        return 0;
    }
    int rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    for (size_t v = version; rc == SQLITE_OK && v < steps_n; v++) {
        rc = sqlite3_exec(db, steps[v], NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK) {
        rc = set_version(db, steps_n);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK) {
        return 0;
    }
    int code = schema_trouble(db, rc, path, why);
    if (!sqlite3_get_autocommit(db)) {
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    }
    return code;
}
