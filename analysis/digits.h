/* Digits of the numbers people read, the same on the terminal and in pages: what follows the '%' and
 * the width of a printf format. */
#ifndef VPSDE_ANALYSIS_DIGITS_H
#define VPSDE_ANALYSIS_DIGITS_H

#define VPSDE_DIGITS_METRIC    ".3e" /* distance from the reference */
#define VPSDE_DIGITS_VERDICT   ".1e" /* best and next best, their difference */
#define VPSDE_DIGITS_BUDGET    "g"   /* network calls within which somebody is best */
#define VPSDE_DIGITS_TOLERANCE ".1e" /* rtol, atol */
#define VPSDE_DIGITS_NFE       ".1f" /* mean network calls */
#define VPSDE_DIGITS_COUNT     ".0f"
#define VPSDE_DIGITS_NATS      ".6g" /* log p and bounds of it */
#define VPSDE_DIGITS_BITS      ".6f" /* bits/dim */
#define VPSDE_DIGITS_STDERR    ".2g" /* standard errors and error budgets */
#define VPSDE_DIGITS_ORDER     ".2f" /* measured orders, tolerances on them */
#define VPSDE_DIGITS_DECLARED  "g"   /* declared and claimed orders */
#define VPSDE_DIGITS_SECONDS   ".2f" /* wall time */
#define VPSDE_DIGITS_RATE      ".4g" /* per second */
#define VPSDE_DIGITS_SHARE     ".3f" /* efficiencies */
#define VPSDE_DIGITS_ROUGH     ".2e" /* how far a Jacobian is from symmetric */
#define VPSDE_DIGITS_DISTANCE  ".3g" /* from a row of the data, of a round trip */
#define VPSDE_DIGITS_TIME      ".4g" /* t, thermodynamic lengths, eigenvalues */
#define VPSDE_DIGITS_PERCENT   ".1f"

#endif
