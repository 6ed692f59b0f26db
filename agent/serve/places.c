#include <stdlib.h>
#include <string.h>
#include "agent/serve/shell.h"
#include "base/assert.h"

struct ph_place_here *ph_place_here(struct ph_shell *shell, const char *pool)
{
    struct ph_place_here *here = ph_map_get(&shell->places, pool);
    if (here)
        return here;
    here = calloc(1, sizeof(*here));
    ph_assert(here);
    ph_text_format(here->pool, sizeof(here->pool), "%s", pool);
    ph_assert(ph_map_put(&shell->places, here->pool, here) == 0);
    return here;
}

void ph_place_forget(struct ph_shell *shell, const char *pool)
{
    free(ph_map_remove(&shell->places, pool));
}

void ph_place_marker(const struct ph_shell *shell, const char *pool, char *out, size_t size)
{
    /* The key tells nodes on one machine apart; it is public. */
    ph_text_format(out, size, "%.12s/%s", shell->identity.public_key, pool);
}

void ph_shell_places_fini(struct ph_shell *shell)
{
    for (size_t i = 0; i < shell->places.count; i++)
        free(shell->places.items[i].value);
    ph_map_fini(&shell->places);
}
