#include "answers/holder.h"

#include <stdlib.h>

static struct ul_amount most_held(const struct site_sum *s) {
  struct ul_amount live = {s->blocks, s->bytes}, peak = {s->peak_blocks, s->peak_bytes};
  return peak.bytes > live.bytes ? peak : live;
}

static bool find_causes(const struct sites *sites, struct holders *h) {
  struct ul_amount *amount = calloc(sites->count + 1, sizeof *amount);
  if (!amount) return false;
  for (size_t i = 0; i < sites->count; i++) {
    const struct site_sum *s = &sites->sum[i];
    if (!s->of_others && (s->blocks || s->peak_blocks)) amount[i] = most_held(s);
  }
  h->causes =
      causes_load(h->functions, sites,
                  &(struct cause_measure){.amount = amount, .count = sites->count});
  free(amount);
  return h->causes;
}

static bool add_sites(const struct sites *sites, struct holders *h) {
  h->count = h->causes->count;
  if (!(h->at = calloc(h->count + 1, sizeof *h->at))) return false;
  for (size_t i = 0; i < h->count; i++)
    h->at[i].cause = i;
  for (size_t i = 0; i < sites->count; i++) {
    const struct site_sum *s = &sites->sum[i];
    if (h->causes->of_site[i] == UINT32_MAX) continue;
    struct holder *to = &h->at[h->causes->of_site[i]];
    to->at_peak.blocks += s->peak_blocks;
    to->at_peak.bytes += s->peak_bytes;
    to->live.blocks += s->blocks;
    to->live.bytes += s->bytes;
    to->allocations += s->count.allocations;
    to->temporary += s->count.temporary;
  }
  return true;
}

struct holders *holders_load(const struct sites *sites, struct functions *functions) {
  struct holders *h = calloc(1, sizeof *h);
  if (h) h->functions = functions;
  if (h && find_causes(sites, h) && add_sites(sites, h)) return h;
  holders_free(h);
  return NULL;
}

void holders_free(struct holders *h) {
  if (!h) return;
  causes_free(h->causes);
  free(h->at);
  free(h);
}
