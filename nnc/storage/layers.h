/* layers.h: layers of a network whose weights are read from a .sws file as they are needed.

   No weight is kept: the reader hands on one after the other, and each is multiplied with all that
   it meets and added to what comes out. Values are float, channels × height × width. What reads a
   file gives enum sws_error; sws.h is to be included before.

   SPDX-License-Identifier: MIT */

#ifndef LAYERS_H
#define LAYERS_H

/* A convolution or a pool: what goes in, the window that slides over it, what comes out. */
typedef struct {
    size_t channels, height, width;
    size_t kernel[2], stride[2], padding[2]; /* down, across */
    size_t out_height, out_width;
} layers_window;

typedef struct {
    const sws_tensor *tensor;
    const layers_window *window;
    const float *in;
    float *out;
    size_t plane; /* values of a channel */
} layers_task;

static inline int layers_visit(sws_file *file, size_t at, sws_visitor *visit, layers_task task) {
    if (at >= file->count) return SWS_NOT_THERE;
    task.tensor = file->tensors + file->tensors[at].same_as;
    return sws_visit(file, at, visit, &task);
}

static inline void layers_zero(float *values, size_t count) {
    while (count-- > 0) *values++ = 0;
}

/* out[row] += weight × in[column] */
static inline void layers_weigh(void *user, size_t place, size_t index) {
    const layers_task *task = user;
    if (index == 0 && task->tensor->weight) return; /* most are zero */
    task->out[place / task->tensor->columns] +=
        sws_float(task->tensor, index) * task->in[place % task->tensor->columns];
}

static inline int layers_linear(sws_file *file, size_t at, const float *in, float *out,
                                size_t outputs) {
    layers_task task = {NULL, NULL, in, out, 1};
    layers_zero(out, outputs);
    return layers_visit(file, at, layers_weigh, task);
}

/* out += weight × what it meets at every place of its window */
static inline void layers_slide(void *user, size_t place, size_t index) {
    const layers_task *task = user;
    const layers_window *w = task->window;
    size_t across = place % w->kernel[1], down = place / w->kernel[1] % w->kernel[0];
    size_t channel = place / w->kernel[1] / w->kernel[0], y, x;
    const float *in = task->in + channel % w->channels * w->height * w->width;
    float *out = task->out + channel / w->channels * w->out_height * w->out_width;
    float weight;
    if (index == 0 && task->tensor->weight) return;
    weight = sws_float(task->tensor, index);
    for (y = 0; y < w->out_height; y++) {
        size_t row = y * w->stride[0] + down - w->padding[0]; /* wraps around above the first */
        if (row >= w->height) continue;
        for (x = 0; x < w->out_width; x++) {
            size_t column = x * w->stride[1] + across - w->padding[1];
            if (column < w->width)
                out[y * w->out_width + x] += weight * in[row * w->width + column];
        }
    }
}

static inline int layers_convolution(sws_file *file, size_t at, const float *in, float *out,
                                     size_t outputs, layers_window window) {
    layers_task task = {NULL, &window, in, out, 1};
    layers_zero(out, outputs * window.out_height * window.out_width);
    return layers_visit(file, at, layers_slide, task);
}

static inline void layers_add(void *user, size_t place, size_t index) {
    const layers_task *task = user;
    float *out = task->out + place * task->plane, value = sws_float(task->tensor, index);
    size_t k;
    for (k = 0; k < task->plane; k++) out[k] += value;
}

/* Add a number to every channel: a bias. */
static inline int layers_shift(sws_file *file, size_t at, float *values, size_t plane) {
    layers_task task = {NULL, NULL, NULL, values, plane};
    return layers_visit(file, at, layers_add, task);
}

static inline void layers_multiply(void *user, size_t place, size_t index) {
    const layers_task *task = user;
    float *out = task->out + place * task->plane, value = sws_float(task->tensor, index);
    size_t k;
    for (k = 0; k < task->plane; k++) out[k] *= value;
}

/* Multiply every channel by a number: a batch norm, less its shift. */
static inline int layers_scale(sws_file *file, size_t at, float *values, size_t plane) {
    layers_task task = {NULL, NULL, NULL, values, plane};
    return layers_visit(file, at, layers_multiply, task);
}

/* The largest value of every window. */
static inline void layers_pool(const float *in, float *out, layers_window w) {
    size_t channel, y, x, i, j;
    for (channel = 0; channel < w.channels; channel++, in += w.height * w.width)
        for (y = 0; y < w.out_height; y++)
            for (x = 0; x < w.out_width; x++, out++) {
                int first = 1;
                for (i = 0; i < w.kernel[0]; i++)
                    for (j = 0; j < w.kernel[1]; j++) {
                        size_t row = y * w.stride[0] + i - w.padding[0];
                        size_t column = x * w.stride[1] + j - w.padding[1];
                        float value;
                        if (row >= w.height || column >= w.width) continue;
                        value = in[row * w.width + column];
                        if (first || value > *out) *out = value;
                        first = 0;
                    }
            }
}

static inline void layers_relu(const float *in, float *out, size_t count) {
    for (; count > 0; count--, in++) *out++ = *in > 0 ? *in : 0;
}

/* factor × value + shift */
static inline void layers_affine(const float *in, float *out, size_t count, float factor,
                                 float shift) {
    for (; count > 0; count--, in++) *out++ = factor * *in + shift;
}

#endif
