/* Depthwise convolutions of VAN on CPUs: float32, NHWC, channels a multiple of 16.
 *
 * A job is one band of rows of one image in one group of channels. It is copied into a small plane
 * with a zero border, and what is computed of it stays in the cache: neither the map between the
 * two convolutions of large kernel attention nor what the backward pass computes again reaches
 * memory. Gradients of the weights leave as one partial sum per image and band, which the caller
 * adds up in a fixed order: no result depends on the number of threads.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LANES 16
#define TILE 8 /* Neighbouring pixels that share a load of the weights. */
#define MAX_SIZE 7
#define MAX_TAPS (MAX_SIZE * MAX_SIZE)
#define MAX_GROUP 4
#define INLINE static inline __attribute__((always_inline))
#define EXPORT __attribute__((visibility("default")))

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));
typedef vec loose __attribute__((aligned(4), may_alias)); /* A vector in a tensor. */

typedef struct {
    int images, height, width, channels;
    int band;  /* Rows of a job. */
    int group; /* Vectors of channels of a job. */
} Shape;

/* One convolution in one vector of channels. */
typedef struct {
    int size, dilation, reach;
    vec taps[MAX_TAPS], bias;
} Kernel;

/* Rows [from, to) of a map with `pad` zero columns on either side; a pixel is `group` vectors. */
typedef struct {
    int from, to, pad, columns, group;
    vec *pixels;
} Plane;

typedef struct {
    int from, to, channel;
    size_t image, partial; /* Offsets of its image's first number, and number of its partial sum. */
} Job;

INLINE int min(int a, int b) { return a < b ? a : b; }
INLINE int max(int a, int b) { return a > b ? a : b; }
INLINE int tiled(int width) { return (width + TILE - 1) / TILE * TILE; }
INLINE vec splat(float value) { return value - (vec){0}; }
INLINE vec choose(ivec mask, vec a, vec b) { return (vec)((mask & (ivec)a) | (~mask & (ivec)b)); }

/* The vector of a plane at a row of the image, a column from -pad on, and a vector of the group. */
INLINE vec *at(const Plane *plane, int row, int column, int i) {
    const size_t pixel = (size_t)(row - plane->from) * plane->columns + plane->pad + column;
    return plane->pixels + pixel * plane->group + i;
}

/* exp of values <= 0: 2^n times a Taylor polynomial on [-ln 2 / 2, ln 2 / 2], within 1e-7.
 * Below exp(-50) it is 0: products with such numbers would become denormal, and those are slow. */
INLINE vec exp_negative(vec x) {
    const ivec tiny = x < -50.0f;
    x = choose(tiny, splat(-50.0f), x);
    const ivec n = __builtin_convertvector(x * 1.44269504f - 0.5f, ivec);
    const vec whole = __builtin_convertvector(n, vec);
    const vec r = x - whole * 0.693145751953125f - whole * 1.42860677e-6f; /* ln 2 in two parts. */
    vec p = splat(1.0f / 5040);
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return choose(tiny, splat(0.0f), p * (vec)((n + 127) << 23));
}

/* The normal distribution, by Abramowitz and Stegun 7.1.26: within 1e-7. */
INLINE void normal(vec x, vec *below, vec *density) {
    const vec z = (vec)((ivec)x & 0x7fffffff) * 0.70710678f;
    const vec t = 1.0f / (1.0f + 0.3275911f * z);
    const vec e = exp_negative(-z * z);
    vec p = splat(1.061405429f);
    p = p * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    const vec tail = 0.5f * p * t * e;
    *below = choose(x < 0.0f, tail, 1.0f - tail);
    *density = e * 0.39894228f;
}

INLINE vec gelu(vec x) {
    vec below, density;
    normal(x, &below, &density);
    return x * below;
}

INLINE vec gelu_slope(vec x) {
    vec below, density;
    normal(x, &below, &density);
    return below + x * density;
}

/* `w` is (size * size, channels), `b` (channels) or NULL; turned round for the input's gradient. */
static Kernel kernel_at(const float *w, const float *b, int size, int d, int c, int C, int turned) {
    Kernel kernel = {.size = size, .dilation = d, .reach = d * (size / 2)};
    const int last = size * size - 1;
    for (int i = 0; i <= last; i++)
        kernel.taps[i] = *(const loose *)(w + (size_t)(turned ? last - i : i) * C + c);
    if (b) kernel.bias = *(const loose *)(b + c);
    return kernel;
}

/* A group's kernels. */
typedef struct {
    Kernel of[MAX_GROUP];
} Kernels;

static Kernels kernels_at(
    const float *w, const float *b, int size, int d, const Job *job, const Shape *s, int turned
) {
    Kernels kernels;
    for (int i = 0; i < s->group; i++)
        kernels.of[i] = kernel_at(w, b, size, d, job->channel + i * LANES, s->channels, turned);
    return kernels;
}

static size_t plane_size(int rows, int pad, const Shape *s) {
    return (size_t)rows * (tiled(s->width) + 2 * pad) * s->group;
}

static Plane plane_at(vec **memory, int from, int to, int pad, const Shape *s) {
    const Plane plane = {from, to, pad, tiled(s->width) + 2 * pad, s->group, *memory};
    *memory += plane_size(to - from, pad, s);
    return plane;
}

static void clear(const Plane *plane, int row, int from, int to) {
    memset(at(plane, row, from, 0), 0, (size_t)(to - from) * plane->group * sizeof(vec));
}

/* Copy rows of an image into a plane; outside the image it is zero. */
static void fill(const Plane *plane, const float *image, const Shape *s) {
    const int end = plane->columns - plane->pad;
    for (int row = plane->from; row < plane->to; row++) {
        if (row < 0 || row >= s->height) {
            clear(plane, row, -plane->pad, end);
            continue;
        }
        clear(plane, row, -plane->pad, 0);
        const float *in = image + (size_t)row * s->width * s->channels;
        vec *out = at(plane, row, 0, 0);
        for (int column = 0; column < s->width; column++, in += s->channels)
            for (int i = 0; i < s->group; i++) *out++ = ((const loose *)in)[i];
        clear(plane, row, s->width, end);
    }
}

INLINE void convolve_as(int size, const vec *in, const Plane *plane, const Kernel *k, vec *out) {
    vec sum[TILE];
    for (int t = 0; t < TILE; t++) sum[t] = k->bias;
    for (int y = 0; y < size; y++)
        for (int x = 0; x < size; x++) {
            const vec tap = k->taps[y * size + x];
            const size_t pixel = ((size_t)y * plane->columns + x) * k->dilation;
            const vec *from = in + pixel * plane->group;
            for (int t = 0; t < TILE; t++) sum[t] += tap * from[t * plane->group];
        }
    for (int t = 0; t < TILE; t++) out[t] = sum[t];
}

/* One tile of the convolution of a plane. */
INLINE void convolve(const Plane *in, const Kernel *k, int row, int column, int i, vec out[TILE]) {
    const vec *corner = at(in, row - k->reach, column - k->reach, i);
    switch (k->size) {
    case 3: convolve_as(3, corner, in, k, out); break;
    case 5: convolve_as(5, corner, in, k, out); break;
    case 7: convolve_as(7, corner, in, k, out); break;
    default: convolve_as(k->size, corner, in, k, out);
    }
}

static void convolve_to_plane(const Plane *in, const Kernels *k, const Plane *out, const Shape *s) {
    const int end = out->columns - out->pad;
    for (int row = out->from; row < out->to; row++) {
        clear(out, row, -out->pad, end);
        if (row < 0 || row >= s->height) continue;
        for (int column = 0; column < s->width; column += TILE)
            for (int i = 0; i < out->group; i++) {
                vec tile[TILE];
                convolve(in, &k->of[i], row, column, i, tile);
                for (int t = 0; t < min(TILE, s->width - column); t++)
                    *at(out, row, column + t, i) = tile[t];
            }
    }
}

static void convolve_to_image(
    const Plane *in, const Kernels *k, float *image, const Job *job, int activate, const Shape *s
) {
    for (int row = job->from; row < job->to; row++)
        for (int column = 0; column < s->width; column += TILE) {
            float *out = image + ((size_t)row * s->width + column) * s->channels;
            for (int i = 0; i < in->group; i++) {
                vec tile[TILE];
                convolve(in, &k->of[i], row, column, i, tile);
                for (int t = 0; t < min(TILE, s->width - column); t++)
                    *(loose *)(out + (size_t)t * s->channels + i * LANES) =
                        activate ? gelu(tile[t]) : tile[t];
            }
        }
}

/* Multiply a gradient by the slope of GELU at the convolution of `in`. */
static void through_gelu(const Plane *grad, const Plane *in, const Kernels *k, const Shape *s) {
    for (int row = max(grad->from, 0); row < min(grad->to, s->height); row++)
        for (int column = 0; column < s->width; column += TILE)
            for (int i = 0; i < grad->group; i++) {
                vec before[TILE];
                convolve(in, &k->of[i], row, column, i, before);
                for (int t = 0; t < TILE; t++)
                    *at(grad, row, column + t, i) *= gelu_slope(before[t]);
            }
}

/* What one row of the output's gradient gives to `count` rows of taps. */
INLINE void correlate_row(
    int size, int count, const vec *grad, const vec *in, const Plane *plane, int d, int width,
    vec *sums
) {
    vec sum[MAX_TAPS];
    for (int i = 0; i < count * size; i++) sum[i] = (vec){0};
    for (int column = 0; column < width; column++)
        for (int y = 0; y < count; y++)
            for (int x = 0; x < size; x++) {
                const size_t pixel = (size_t)y * d * plane->columns + column + x * d;
                sum[y * size + x] += grad[column * plane->group] * in[pixel * plane->group];
            }
    for (int i = 0; i < count * size; i++) sums[i] += sum[i];
}

/* The job's gradients of taps and bias, (size * size + 1, channels). */
static void correlate(
    const Plane *grad, const Plane *in, const Kernel *k, int i, float *out, const Job *job,
    const Shape *s
) {
    const int size = k->size, d = k->dilation;
    vec sums[MAX_TAPS + 1] = {0};
    for (int row = job->from; row < job->to; row++) {
        const vec *g = at(grad, row, 0, i);
        for (int column = 0; column < s->width; column++)
            sums[size * size] += g[column * grad->group];
        /* As many rows of taps at a time as the registers hold sums. */
        const int step = size == 3 || size == 5 ? size : 1;
        for (int y = 0; y < size; y += step) {
            const vec *x = at(in, row - k->reach + y * d, -k->reach, i);
            vec *rows = sums + y * size;
            switch (size) {
            case 3: correlate_row(3, 3, g, x, in, d, s->width, rows); break;
            case 5: correlate_row(5, 5, g, x, in, d, s->width, rows); break;
            case 7: correlate_row(7, 1, g, x, in, d, s->width, rows); break;
            default: correlate_row(size, 1, g, x, in, d, s->width, rows);
            }
        }
    }
    for (int tap = 0; tap <= size * size; tap++)
        *(loose *)(out + (size_t)tap * s->channels) = sums[tap];
}

static void correlate_group(
    const Plane *grad, const Plane *in, const Kernels *k, float *out, const Job *job, const Shape *s
) {
    const int taps = k->of[0].size * k->of[0].size + 1;
    for (int i = 0; i < s->group; i++) {
        float *sums = out + job->partial * taps * s->channels + job->channel + i * LANES;
        correlate(grad, in, &k->of[i], i, sums, job, s);
    }
}

static int bands_of(const Shape *s) { return (s->height + s->band - 1) / s->band; }
static int groups_of(const Shape *s) { return s->channels / (LANES * s->group); }

static Job job_at(int index, const Shape *s) {
    const int image = index / groups_of(s) / bands_of(s);
    const int band = index / groups_of(s) % bands_of(s);
    const int channel = index % groups_of(s) * LANES * s->group;
    return (Job){
        .from = band * s->band,
        .to = min((band + 1) * s->band, s->height),
        .channel = channel,
        .image = (size_t)image * s->height * s->width * s->channels + channel,
        .partial = (size_t)image * bands_of(s) + band,
    };
}

/* The loop over all jobs, each with `memory` of the given size; returns whether there was none. */
#define FOR_EACH_JOB(memory_size)                                                                  \
    int failed = 0;                                                                                \
    _Pragma("omp parallel num_threads(threads) reduction(| : failed)") {                           \
        vec *const own = aligned_alloc(sizeof(vec), (memory_size) * sizeof(vec));                  \
        failed = !own;                                                                             \
        const int jobs = s->images * bands_of(s) * groups_of(s);                                   \
        _Pragma("omp for schedule(dynamic)") for (int index = 0; index < jobs; index++) {          \
            if (!own) continue;                                                                    \
            const Job job = job_at(index, s);                                                      \
            vec *memory = own;

#define END_EACH_JOB                                                                               \
        }                                                                                          \
        free(own);                                                                                 \
    }                                                                                              \
    return failed;

EXPORT int depthwise_gelu(
    const Shape *s, int threads, const float *x, const float *w, const float *b, int size,
    float *out
) {
    const int r = size / 2;
    FOR_EACH_JOB(plane_size(s->band + 2 * r, r, s))
    const Kernels k = kernels_at(w, b, size, 1, &job, s, 0);
    const Plane in = plane_at(&memory, job.from - r, job.to + r, r, s);
    fill(&in, x + job.image, s);
    convolve_to_image(&in, &k, out + job.image, &job, 1, s);
    END_EACH_JOB
}

EXPORT int depthwise_gelu_backward(
    const Shape *s, int threads, const float *grad, const float *x, const float *w, const float *b,
    int size, float *grad_x, float *grad_w
) {
    const int r = size / 2;
    FOR_EACH_JOB(plane_size(s->band + 2 * r, r, s) + plane_size(s->band + 4 * r, r, s))
    const Kernels k = kernels_at(w, b, size, 1, &job, s, 0);
    const Kernels back = kernels_at(w, NULL, size, 1, &job, s, 1);
    const Plane g = plane_at(&memory, job.from - r, job.to + r, r, s);
    const Plane in = plane_at(&memory, job.from - 2 * r, job.to + 2 * r, r, s);
    fill(&g, grad + job.image, s);
    fill(&in, x + job.image, s);
    through_gelu(&g, &in, &k, s);
    convolve_to_image(&g, &back, grad_x + job.image, &job, 0, s);
    correlate_group(&g, &in, &k, grad_w, &job, s);
    END_EACH_JOB
}

EXPORT int depthwise_pair(
    const Shape *s, int threads, const float *x, const float *w1, const float *b1, int size1,
    const float *w2, const float *b2, int size2, int d, float *out
) {
    const int r1 = size1 / 2, r2 = d * (size2 / 2), r = r1 + r2;
    FOR_EACH_JOB(plane_size(s->band + 2 * r, r1, s) + plane_size(s->band + 2 * r2, r2, s))
    const Kernels first = kernels_at(w1, b1, size1, 1, &job, s, 0);
    const Kernels second = kernels_at(w2, b2, size2, d, &job, s, 0);
    const Plane in = plane_at(&memory, job.from - r, job.to + r, r1, s);
    const Plane middle = plane_at(&memory, job.from - r2, job.to + r2, r2, s);
    fill(&in, x + job.image, s);
    convolve_to_plane(&in, &first, &middle, s);
    convolve_to_image(&middle, &second, out + job.image, &job, 0, s);
    END_EACH_JOB
}

EXPORT int depthwise_pair_backward(
    const Shape *s, int threads, const float *grad, const float *x, const float *w1, const float *b1,
    int size1, const float *w2, int size2, int d, float *grad_x, float *grad_w1, float *grad_w2
) {
    const int r1 = size1 / 2, r2 = d * (size2 / 2), r = r1 + r2;
    FOR_EACH_JOB(
        plane_size(s->band + 2 * r, r1, s) + plane_size(s->band + 2 * r2, r2, s) +
        plane_size(s->band + 2 * r, r2, s) + plane_size(s->band + 2 * r1, r1, s))
    const Kernels first = kernels_at(w1, b1, size1, 1, &job, s, 0);
    const Kernels back1 = kernels_at(w1, NULL, size1, 1, &job, s, 1);
    const Kernels back2 = kernels_at(w2, NULL, size2, d, &job, s, 1);
    const Plane in = plane_at(&memory, job.from - r, job.to + r, r1, s);
    const Plane middle = plane_at(&memory, job.from - r2, job.to + r2, r2, s);
    const Plane g2 = plane_at(&memory, job.from - r, job.to + r, r2, s);
    const Plane g1 = plane_at(&memory, job.from - r1, job.to + r1, r1, s);
    fill(&in, x + job.image, s);
    fill(&g2, grad + job.image, s);
    convolve_to_plane(&in, &first, &middle, s);
    convolve_to_plane(&g2, &back2, &g1, s);
    convolve_to_image(&g1, &back1, grad_x + job.image, &job, 0, s);
    correlate_group(&g1, &in, &first, grad_w1, &job, s);
    correlate_group(&g2, &middle, &back2, grad_w2, &job, s);
    END_EACH_JOB
}
