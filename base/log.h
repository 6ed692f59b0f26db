/*
 * Log lines for operators: `time level what key=value ...` on stderr, one line per call, written
 * with one write(2), values quoted when they need it, control characters escaped. Not pure.
 *
 *     ph_log(PH_LOG_NOTICE, "pool_active", "pool=%s node=%s epoch=%lld term=%lld", ...);
 *
 * An operator must be able to tell from the lines alone why a pool moved. Never a secret.
 */
#ifndef PH_BASE_LOG_H
#define PH_BASE_LOG_H

enum ph_log_level { PH_LOG_ERROR, PH_LOG_WARNING, PH_LOG_NOTICE, PH_LOG_INFO, PH_LOG_DEBUG };

/* Says which program speaks and from which level on it does. `program` is borrowed. */
void ph_log_init(const char *program, enum ph_log_level level);
void ph_log(enum ph_log_level level, const char *what, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
