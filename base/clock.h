/*
 * The two clocks. Leases know only ph_clock_boot_ms(): it goes on during suspend and nobody can
 * set it. ph_clock_wall_ms() is for people: times in the inventory and the log. Not pure.
 */
#ifndef PH_BASE_CLOCK_H
#define PH_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

uint64_t ph_clock_boot_ms(void); /* CLOCK_BOOTTIME */
int64_t ph_clock_wall_ms(void);  /* since 1970-01-01T00:00:00Z */

/* Local time minus UTC at that moment, ms, by the machine's time zone. */
int64_t ph_clock_local_offset_ms(int64_t wall_ms);

/* "2026-01-31T12:00:00.123Z"; out needs 32 bytes. Pure. */
void ph_clock_format_wall(int64_t wall_ms, char *out, size_t size);
/* Reads RFC 3339 with or without time, fraction and zone (none: UTC), "now", or a span back such as
 * "-90s", "-15m", "-2h", "-1d". 0 or -EINVAL. Pure. */
int ph_clock_parse_wall(const char *text, int64_t now_wall_ms, int64_t *wall_ms_out);

#endif
