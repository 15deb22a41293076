/* weight.h - what a sampled block stands for: for the preload's snapshots and for whoever
 * reads a recording.
 *
 * With header.sample_bytes = B > 0 the program's allocations, from header.sampled_ms on,
 * are laid end to end, and on that line lie points: a Poisson process of one in B bytes
 * on average. Blocks on which a point lies have a call stack (UL_SITE_OF_SAMPLES), all
 * others the site header.sample_site. A block of s bytes is among the former with
 * probability p = 1 - exp(-s / B), whatever came before, so it stands for 1 / p blocks,
 * and the sum of these over the sampled blocks of a site is, on average, the number of
 * all blocks of the site (Horvitz and Thompson).
 *
 * Its variance is estimated by the sum of s^2 (1 - p) / p^2, which for blocks of one size
 * is their estimated bytes x c, with c = s (1 - p) / p: near B for small blocks, 0 for
 * large ones. The bounds of a 95 % interval are the true values t whose distance from the
 * estimate e is 1.96 of their own standard deviations (Wilson's way: with few samples it
 * is wider above than below, as it must be):
 *
 *     (e - t)^2 = z^2 c t,   t = e + z^2 c / 2 -+ z sqrt(c e + z^2 c^2 / 4) */
#ifndef ULLAGE_WEIGHT_H
#define ULLAGE_WEIGHT_H

/* exp(x) - 1 for x <= 0; no libm here. */
static inline double weight_expm1(double x) {
  double y = x / 1024, e = y * (1 + y / 2 * (1 + y / 3 * (1 + y / 4)));
  for (int i = 0; i < 10; i++)
    e *= 2 + e; /* (1 + e)^2 - 1 */
  return e;
}

/* Of a block of `bytes`, at least 1; 1 if everything is sampled. */
static inline double weight_of(double bytes, double period) {
  if (period <= 0 || bytes > 40 * period) return 1;
  return -1 / weight_expm1(-(bytes < 1 ? 1 : bytes) / period);
}

/* c above: the variance of an estimate, over the estimate. */
static inline double weight_variance(double bytes, double period) {
  double weight = weight_of(bytes, period);
  return (bytes < 1 ? 1 : bytes) * (weight - 1);
}

struct weight_bounds {
  double low, high;
};
/* Between which the truth lies with 95 %; `variance` is that of the estimate, over it. */
static inline struct weight_bounds weight_bounds(double estimate, double variance) {
  const double z = 1.96;
  double half = z * z * variance / 2;
  double reach = __builtin_sqrt(half * (2 * estimate + half));
  return (struct weight_bounds){estimate + half - reach, estimate + half + reach};
}
/* Of `bytes` estimated for blocks of `block_bytes` each. */
static inline struct weight_bounds weight_interval(double bytes, double block_bytes,
                                                   double period) {
  return weight_bounds(bytes, weight_variance(block_bytes, period));
}
#endif
