/* Covariances k(x, Z), and products with a lower triangle C.

Every number is computed in an order of its own, by operations that are rounded as IEEE 754 says.
So a point has the same bits alone or in company, on one thread or many, and in every build of this
file, however wide its registers are. Never compile it with -ffast-math, and without
-ffp-contract=off a compiler may fuse more operations than are fused here.

N is a multiple of ROWS: zeros fill up the last rows and columns. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ROWS 32  /* of a panel of C; also the lanes of a sum */
#define POINTS 6 /* at once: with a panel's rows they fill the registers */

#if defined(__AVX512F__)
#define WIDTH 8 /* doubles of a register */
#define REGISTERS 32
#define DEPTH 1024 /* columns at once for many points: 256 KiB of a panel, and of the next */
#define AHEAD 4096 /* bytes to fetch in advance */
#define NEAR 512   /* N up to which no panel is fetched: C has 1 MiB, for a second cache */
#else
#if defined(__AVX__)
#define WIDTH 4
#define REGISTERS 16
#else
#define WIDTH 2
#define REGISTERS 32
#endif
#define DEPTH 512
#define AHEAD 6144
#define NEAR 2560 /* 25 MiB, for a last cache: to read from it takes less time than to compute */
#endif

typedef double vec __attribute__((vector_size(8 * WIDTH), aligned(8), may_alias));
typedef int64_t ints __attribute__((vector_size(8 * WIDTH), aligned(8), may_alias));

#define UNROLL _Pragma("GCC unroll 32")
#define INLINE static inline __attribute__((always_inline))
#define EXPORT __attribute__((visibility("default")))

INLINE vec all(double a) { return a - (vec){0}; }

/* a b + c, rounded once */
INLINE vec muladd(vec a, vec b, vec c) {
    vec r = a;
    for (int l = 0; l < WIDTH; l++) r[l] = __builtin_fma(a[l], b[l], c[l]);
    return r;
}

INLINE vec root(vec a) {
    vec r = a;
    for (int l = 0; l < WIDTH; l++) r[l] = __builtin_sqrt(a[l]);
    return r;
}

INLINE vec where(ints condition, vec a, vec b) {
    return (vec)((condition & (ints)a) | (~condition & (ints)b));
}

/* exp(x) for x <= 0, within an ulp; 0 below -708. exp(x) = 2^n exp(t) with |t| <= log(2)/2, and
   exp(t) by its series up to t^13. */
INLINE vec exponential(vec x) {
    static const double inverse[] = {
        1.0, 1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320,
        1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800};
    const vec shift = all(0x1.8p52); /* added and subtracted, it rounds to an integer */
    vec y = where(x < -708.0, all(-708.0), x);
    vec shifted = muladd(y, all(0x1.71547652b82fep0), shift);
    vec n = shifted - shift;
    vec t = muladd(n, all(-0x1.62e42fefa39efp-1), y);
    t = muladd(n, all(-0x1.abc9e3b39803fp-56), t);
    vec e = all(inverse[13]);
    UNROLL for (int k = 12; k >= 0; k--) e = muladd(e, t, all(inverse[k]));
    e = (vec)((ints)e + ((ints)shifted << 52)); /* times 2^n */
    return where(x < -708.0, all(0.0), e);
}

/* log(1 + t) for t >= 0, by log(m) = 2 artanh((m - 1)/(m + 1)) and its series up to s^23, where
   1 + t = 2^e m and m is within a factor of sqrt(2) of 1. */
INLINE vec logarithm(vec t) {
    vec y = 1.0 + t, lost = t - (y - 1.0);
    vec e = (vec)(((ints)y >> 52) | (ints)all(0x1p52)) - (0x1p52 + 1023);
    vec m = (vec)(((ints)y & 0xfffffffffffff) | (ints)all(1.0));
    ints large = m > 0x1.6a09e667f3bcdp0;
    m = where(large, 0.5 * m, m);
    e = where(large, e + 1.0, e);
    vec s = (m - 1.0) / (m + 1.0), squared = s * s, sum = all(2.0 / 23);
    UNROLL for (int k = 21; k >= 1; k -= 2) sum = muladd(sum, squared, all(2.0 / k));
    return muladd(e, all(0x1.62e42fefa39efp-1), muladd(s, sum, lost / y));
}

/* sin(pi r) but for its sign, by the series of sin(x) up to x^21 */
INLINE vec sine(vec r) {
    static const double inverse[] = {
        1.0, 1.0 / 6, 1.0 / 120, 1.0 / 5040, 1.0 / 362880, 1.0 / 39916800, 1.0 / 6227020800,
        1.0 / 1307674368000, 1.0 / 355687428096000, 1.0 / 121645100408832000,
        1.0 / 51090942171709440000.0};
    const vec shift = all(0x1.8p52);
    vec x = 0x1.921fb54442d18p1 * (r - ((r + shift) - shift)), squared = -x * x;
    vec s = all(inverse[10]);
    UNROLL for (int k = 9; k >= 0; k--) s = muladd(s, squared, all(inverse[k]));
    return s * x;
}

enum { RBF, EXPONENTIAL, MATERN32, MATERN52, RATQUAD, EXPSINESQUARED, STDPERIODIC };

/* The covariance with a variance of 1, of r^2. Rasmussen & Williams, equations 4.9, 4.18, 4.17,
   4.19 and 4.31; `shape` is the power or the smoothness. STDPERIODIC sums squares of sines. */
INLINE vec covariance(const int form, double shape, vec squares) {
    vec q = where(squares > 1e300, all(1e300), squares);
    if (form == RBF || form == STDPERIODIC) return exponential(-0.5 * q);
    if (form == RATQUAD) return exponential(-shape * logarithm(0.5 * q));
    if (form == EXPONENTIAL) return exponential(-root(q));
    if (form == EXPSINESQUARED) {
        vec wave = sine(root(q)) / shape;
        return exponential(-2.0 * (wave * wave));
    }
    vec t = root((form == MATERN32 ? 3.0 : 5.0) * q);
    if (form == MATERN32) return (1.0 + t) * exponential(-t);
    return muladd(t, muladd(t, all(1.0 / 3), all(1.0)), all(1.0)) * exponential(-t);
}

/* A covariance function of `d` of the `inputs` columns of X.

x becomes (x - offset)/scale, the units of Z (d, N). `inverse` holds 1/lengthscale, or 1/period of
STDPERIODIC, whose 1/lengthscale is `sharpness`. */
struct term {
    int64_t form, inputs, d, N;
    double variance, shape;
    const int64_t *active;
    const double *offset, *scale, *inverse, *sharpness, *Z;
};

INLINE void row(const int form, const struct term *t, const double *x, double *k) {
    for (ptrdiff_t j = 0; j < t->N; j += ROWS) {
        vec squares[ROWS / WIDTH] = {0};
        for (ptrdiff_t i = 0; i < t->d; i++)
            UNROLL for (int v = 0; v < ROWS / WIDTH; v++) {
                vec r = (x[i] - *(const vec *)(t->Z + i * t->N + j + v * WIDTH)) * t->inverse[i];
                if (form == STDPERIODIC) r = sine(r) * t->sharpness[i];
                squares[v] = muladd(r, r, squares[v]);
            }
        UNROLL for (int v = 0; v < ROWS / WIDTH; v++)
            *(vec *)(k + j + v * WIDTH) = t->variance * covariance(form, t->shape, squares[v]);
    }
}

/* K = k(X, Z): X (n, inputs), K (n, N) */
EXPORT void covariances(const struct term *t, const double *X, ptrdiff_t n, double *K) {
    double x[t->d];
    for (; n > 0; n--, X += t->inputs, K += t->N) {
        for (ptrdiff_t i = 0; i < t->d; i++)
            x[i] = (X[t->active[i]] - t->offset[i]) / t->scale[i];
        switch (t->form) {
        case RBF: row(RBF, t, x, K); break;
        case EXPONENTIAL: row(EXPONENTIAL, t, x, K); break;
        case MATERN32: row(MATERN32, t, x, K); break;
        case MATERN52: row(MATERN52, t, x, K); break;
        case RATQUAD: row(RATQUAD, t, x, K); break;
        case EXPSINESQUARED: row(EXPSINESQUARED, t, x, K); break;
        case STDPERIODIC: row(STDPERIODIC, t, x, K); break;
        }
    }
}

/* The sum of a power of two of numbers, by halves */
INLINE double sum(double *lanes, int count) {
    for (int half = count / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) lanes[l] += lanes[l + half];
    return lanes[0];
}

/* a.b, in ROWS lanes: number j belongs to lane j mod ROWS */
static double dot(const double *a, const double *b, ptrdiff_t N) {
    vec s[ROWS / WIDTH] = {0};
    for (ptrdiff_t j = 0; j < N; j += ROWS)
        for (int v = 0; v < ROWS / WIDTH; v++) {
            ptrdiff_t at = j + v * WIDTH;
            s[v] = muladd(*(const vec *)(a + at), *(const vec *)(b + at), s[v]);
        }
    double lanes[ROWS];
    memcpy(lanes, s, sizeof lanes);
    return sum(lanes, ROWS);
}

/* What is read after a panel: a part of it is fetched while some points are computed. */
struct next {
    const double *panel;
    ptrdiff_t stride; /* numbers for each column, or 0: nothing is fetched */
};

/* Add columns of a panel times numbers of k to s: each number of s is one chain of fused
   multiply-adds over the columns. */
INLINE void chains(const int points, const int registers, const int fetch, const double *panel,
                   ptrdiff_t columns, const double *K, ptrdiff_t N, struct next next,
                   vec s[POINTS][ROWS / WIDTH]) {
    const int height = registers * WIDTH, fetched = !fetch ? 0 : height < 16 ? height : 16;
    for (ptrdiff_t j = 0; j < columns; j++, panel += ROWS, next.panel += next.stride) {
        UNROLL for (int l = 0; l < height; l += 8)
            __builtin_prefetch((const char *)(panel + l) + AHEAD);
        UNROLL for (int l = 0; l < fetched; l += 8) __builtin_prefetch(next.panel + l);
        vec c[ROWS / WIDTH];
        UNROLL for (int v = 0; v < registers; v++) c[v] = *(const vec *)(panel + v * WIDTH);
        UNROLL for (int b = 0; b < points; b++) {
            vec k = all(K[b * N + j]);
            UNROLL for (int v = 0; v < registers; v++) s[b][v] = muladd(c[v], k, s[b][v]);
        }
    }
}

/* The same for `height` rows of V and `points` points */
INLINE void tile(const int points, const int height, const double *panel, ptrdiff_t columns,
                 const double *K, double *V, ptrdiff_t N, int first, struct next next) {
    vec s[POINTS][ROWS / WIDTH];
    const int registers = height / WIDTH;
    UNROLL for (int b = 0; b < points; b++)
        UNROLL for (int v = 0; v < registers; v++)
            s[b][v] = first ? all(0.0) : *(const vec *)(V + b * N + v * WIDTH);
    if (next.stride)
        chains(points, registers, 1, panel, columns, K, N, next, s);
    else
        chains(points, registers, 0, panel, columns, K, N, next, s);
    UNROLL for (int b = 0; b < points; b++)
        UNROLL for (int v = 0; v < registers; v++) *(vec *)(V + b * N + v * WIDTH) = s[b][v];
}

/* As many rows at once as there are registers for */
#define HEIGHT(points) ((points) * (ROWS / WIDTH) <= REGISTERS * 3 / 4       ? ROWS     \
                        : (points) * (ROWS / WIDTH / 2) <= REGISTERS * 3 / 4 ? ROWS / 2 \
                                                                             : ROWS / 4)

/* The same for all rows of a panel P */
INLINE void panel(const int points, const double *P, ptrdiff_t columns, const double *K, double *V,
                  ptrdiff_t N, int first, struct next next) {
    for (int i = 0; i < ROWS; i += HEIGHT(points), next.panel += HEIGHT(points))
        tile(points, HEIGHT(points), P + i, columns, K, V + i, N, first, next);
}

/* The same for any number of points up to POINTS */
static void few(ptrdiff_t points, const double *P, ptrdiff_t columns, const double *K, double *V,
                ptrdiff_t N, int first, struct next next) {
    switch (points) {
    case 1: return panel(1, P, columns, K, V, N, first, next);
    case 2: return panel(2, P, columns, K, V, N, first, next);
    case 3: return panel(3, P, columns, K, V, N, first, next);
    case 4: return panel(4, P, columns, K, V, N, first, next);
    case 5: return panel(5, P, columns, K, V, N, first, next);
    default: return panel(POINTS, P, columns, K, V, N, first, next);
    }
}

/* C, shape (N, N), in panels of ROWS rows, and alpha (N). A panel has the columns up to its last
   row, each with its ROWS numbers side by side. */
struct triangle {
    int64_t N;
    const double *C, *alpha;
};

static const double *block(const struct triangle *t, ptrdiff_t panel, ptrdiff_t column) {
    return t->C + (panel * (panel + 1) / 2 * ROWS + column) * ROWS;
}

INLINE ptrdiff_t least(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

/* V = K C^T: K and V (n, N). A caller that goes backwards every other time finds in the caches the
   panels that were read last. Where many points take several passes over a panel, each pass
   fetches its share of the next one. */
EXPORT void product(const struct triangle *t, const double *K, ptrdiff_t n, int backwards,
                    double *V) {
    const ptrdiff_t N = t->N, last = N / ROWS - 1, passes = (n + POINTS - 1) / POINTS;
    const ptrdiff_t depth = passes > 1 ? DEPTH : N, step = backwards ? -1 : 1;
    const ptrdiff_t stride = passes > 1 && N > NEAR ? (ROWS + passes - 1) / passes : 0;
    for (ptrdiff_t j = 0; j < N; j += depth)
        for (ptrdiff_t i = j / ROWS; i <= last; i++) {
            const ptrdiff_t p = backwards ? last + j / ROWS - i : i;
            const ptrdiff_t columns = least((p + 1) * ROWS - j, depth);
            struct next next = {block(t, p + step, j), stride};
            for (ptrdiff_t b = 0; b < n; b += POINTS, next.panel += columns * stride)
                few(least(n - b, POINTS), block(t, p, j), columns, K + b * N + j,
                    V + b * N + p * ROWS, N, j == 0, next);
        }
}

/* k.alpha and |C k|^2 of each row of K (n, N), into out (n, 2); V (n, N) becomes K C^T */
EXPORT void predict(const struct triangle *t, const double *K, ptrdiff_t n, int backwards,
                    double *V, double *out) {
    product(t, K, n, backwards, V);
    for (; n > 0; n--, K += t->N, V += t->N, out += 2) {
        out[0] = dot(K, t->alpha, t->N);
        out[1] = dot(V, V, t->N);
    }
}

/* D = A B^T, in the order of `dot`: A (n, N), B (m, N), D (n, m) */
EXPORT void dots(const double *A, ptrdiff_t n, const double *B, ptrdiff_t m, ptrdiff_t N,
                 double *D) {
    for (ptrdiff_t a = 0; a < n; a++)
        for (ptrdiff_t b = 0; b < m; b++) D[a * m + b] = dot(A + a * N, B + b * N, N);
}

#define LANES 8 /* row i of C belongs to lane i mod LANES */

/* W = V C: V and W (n, N) */
EXPORT void transposed(const struct triangle *t, const double *V, ptrdiff_t n, double *W) {
    const ptrdiff_t N = t->N, panels = N / ROWS;
    for (ptrdiff_t j = 0; j < panels; j++)
        for (ptrdiff_t b = 0; b < n; b += POINTS) {
            double lanes[POINTS][ROWS][LANES] = {0};
            for (ptrdiff_t p = j; p < panels; p++)
                for (int a = 0; a < POINTS && b + a < n; a++)
                    for (int c = 0; c < ROWS; c++)
                        UNROLL for (int l = 0; l < LANES; l += WIDTH) {
                            const double *C = block(t, p, j * ROWS + c) + l;
                            const double *v = V + (b + a) * N + p * ROWS + l;
                            vec s = *(vec *)(lanes[a][c] + l);
                            UNROLL for (int i = 0; i < ROWS; i += LANES)
                                s = muladd(*(const vec *)(C + i), *(const vec *)(v + i), s);
                            *(vec *)(lanes[a][c] + l) = s;
                        }
            for (int a = 0; a < POINTS && b + a < n; a++)
                for (int c = 0; c < ROWS; c++)
                    W[(b + a) * N + j * ROWS + c] = sum(lanes[a][c], LANES);
        }
}
