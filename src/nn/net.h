/* A network in memory: what the files net*.c share. The layout is told in README.md beside this file. */
#ifndef KDSWEEP_NET_H
#define KDSWEEP_NET_H

#include "kdsweep/nn.h"

/*
 * A layer in memory. Its output is a batch of images [height][width][columns]; a dense layer's image is one pixel. y is what the product
 * (and the bias and rectifier of a layer without normalisation) gives; z is the output that others read. They are the same memory
 * without normalisation; with it, z exists only where a reader cannot make it from y on its way (keeps_z).
 */
typedef struct net_layer {
    const kds_layer *spec;
    int32_t columns_in;      /* channels of the input, padded with zeros to whole panels */
    int32_t columns;         /* floats of a pixel: the channels, padded likewise; then perhaps unused ones (dense) */
    int32_t n_panels;        /* of the output's channels */
    int32_t n_k;             /* rows of a panel of weights */
    int64_t n_pixels, image; /* of an output image; its floats */
    int32_t block;           /* images that are staged at a time */
    int32_t halo;            /* zeros around a staged gradient */
    /* One more row and column of zeros behind staged maps: Winograd's tiles of maps of odd size. */
    int32_t extra;
    bool winograd;
    int pool; /* of a convolution without normalisation: the pool that alone reads it, and goes with it block by block; 0: none */
    /* Where its values lie in parameters and velocity: weights [n_panels][n_k][16], then [16 n_panels] biases, or scales and offsets. */
    int64_t weights, n_weights;
    int64_t vectors, n_vectors;
    /* Where their gradient lies in net->gradient. Weights of a dense layer that is only stepped have no place there. */
    int64_t d_weights, d_vectors;
    int64_t statistics; /* mean [16 n_panels], variance [16 n_panels] in net->statistics */
    float *y, *z;
    bool keeps_z;
    int32_t n_z;           /* images whose z is made */
    float *scale, *shift;  /* [columns] normalisation: z = relu?(y * scale + shift + skip) */
    float *mean, *inverse; /* [columns] of the batch: mean, 1 / sqrt(var + epsilon) */
    /* Training only. d: gradient with respect to what the rectifier reads; complete when the lowest reader has given its share. */
    float *d;
    int32_t d_slot;
    bool d_begun;
    int first_reader;
    double *sum, *product; /* [columns] sum_p d, sum_p d * (y - mean) */
} net_layer;

struct kds_net {
    const kds_model *model;
    const kds_kernels *kernels;
    int32_t max_rows;
    bool differentiates; /* the gradient of all parameters has a place, laid out as they are */
    float *input;        /* [max_rows][input_pitch] */
    int64_t input_pitch;
    float *logits; /* [max_rows][n_classes] */
    /* parameters, velocity and statistics are one piece: the state */
    float *parameters, *velocity, *statistics, *gradient;
    int64_t n_inner, n_statistics; /* floats of parameters, of statistics */
    int64_t n_gradient;
    float *staged_in, *staged_d;       /* images with their borders: input and gradient of a convolution */
    float *packed;                     /* weights for a product back to the data */
    float *filters, *filters_gradient; /* Winograd's transformed filters */
    float *taps;                       /* a row of what goes to the inputs, tap by tap */
    float *planes[2];                  /* and tiles */
    float *scratch;                    /* a block of gradients of an input */
    float *shortcut;                   /* an image that is added with another shape */
    float *coefficient[3];             /* [widest columns] */
    net_layer layers[KDS_MAX_MODEL_LAYERS];
};

static inline int32_t kds_net_whole_panels(int32_t channels)
{
    return (channels + KDS_PANEL - 1) / KDS_PANEL * KDS_PANEL;
}

/* Output of layer `l` for one image, made now if it is not there yet. Images are asked for in ascending order. */
const float *kds_net_output(kds_net *net, int l, int32_t image);

/* A share of the gradient with respect to the output of layer `l`, from its reader `reader`, for some images. d may be the place where
 * the layer's gradient belongs. The last share passes the gradient through the rectifier and sums it. */
void kds_net_give(kds_net *net, int l, int reader, int32_t image, int32_t n_images, const float *d);
/* Before the first and after the last call of kds_net_give by one reader. */
void kds_net_give_begin(kds_net *net, int l, int reader);
void kds_net_give_end(kds_net *net, int l);

/* Forward and backward of one layer on n_rows images. sgd: NULL, or take the step of the weights where that needs no gradient in memory;
 * returns true if it was taken. */
void kds_net_dense_forward(kds_net *net, int l, int32_t n_rows);
bool kds_net_dense_backward(kds_net *net, int l, int32_t n_rows, const kds_sgd *sgd);
void kds_net_convolution_forward(kds_net *net, int l, int32_t n_rows, kds_net_use use);
void kds_net_convolution_backward(kds_net *net, int l, int32_t n_rows);
void kds_net_pool_forward(kds_net *net, int l, int32_t n_rows);
/* A pool that goes with the convolution below (net_layer.pool): its outputs for some images of y; the gradient with respect to what it read,
 * for some images, before the rectifier. */
void kds_net_pool_block(kds_net *net, int l, int32_t image, int32_t n_images);
void kds_net_pool_block_backward(kds_net *net, int l, int32_t image, int32_t n_images, float *d_in);
void kds_net_pool_backward(kds_net *net, int l, int32_t n_rows);

/* Normalisation: the affine map of z from the batch's sums (and the running statistics from them), or from the running statistics. */
void kds_net_norm_by_batch(kds_net *net, int l, int32_t n_rows);
void kds_net_norm_by_running(kds_net *net, int l);
/* Gradient of scale and offset; coefficient[0..2]: d_y = coefficient[0] d + coefficient[1] y + coefficient[2]. */
void kds_net_norm_backward(kds_net *net, int l, int32_t n_rows);

/* ---- convolutions by Winograd's minimal filtering: net_winograd.c ------------------------------------------------------ */

bool kds_net_uses_winograd(const kds_layer *spec);

/* Images that are best staged at a time. */
int32_t kds_net_winograd_block(const kds_layer *spec, int32_t max_rows);

/* Floats of net->filters (and filters_gradient), and of planes of inputs and outputs: planes[0] and planes[1] hold either. */
typedef struct net_winograd_sizes {
    int64_t filters, planes_in, planes_out;
} net_winograd_sizes;
net_winograd_sizes kds_net_winograd_measure(const net_layer *layer);

/* net->filters from the layer's weights, for the product forward and back; the gradient of the weights from net->filters_gradient. */
void kds_net_winograd_filters_forward(kds_net *net, const net_layer *layer);
void kds_net_winograd_filters_backward(kds_net *net, const net_layer *layer);
void kds_net_winograd_filters_gradient(kds_net *net, const net_layer *layer);

/* Staged maps: where the first image starts, floats of a row and of an image. */
typedef struct net_staged {
    const float *from;
    int64_t row, image;
} net_staged;

/* A block of staged inputs to y, of staged gradients (with a border of 1) to d_in. */
void kds_net_winograd_forward(kds_net *net, const net_layer *layer, int32_t n_images, int64_t staged_row,
                              int64_t staged_image, float *y);
void kds_net_winograd_back(kds_net *net, const net_layer *layer, int32_t n_images, int64_t staged_row,
                           int64_t staged_image, float *d_in);
/* Adds to net->filters_gradient (first: sets it). d starts at its first pixel, inside the border. */
void kds_net_winograd_weights(kds_net *net, const net_layer *layer, int32_t n_images, bool first, const net_staged *x,
                              const net_staged *d);

/* Sizes of a convolution's buffers in floats, for a block of images. */
int64_t kds_net_staged_in_size(const net_layer *layer);
int64_t kds_net_staged_d_size(const net_layer *layer);
int64_t kds_net_packed_size(const net_layer *layer);
int64_t kds_net_turned_size(const net_layer *layer); /* of a dense layer */
/* Does the product back to the data go by whole rows of taps? Then it needs so many floats of net->taps. */
bool kds_net_adds_taps(const kds_layer *spec);
int64_t kds_net_taps_size(const kds_layer *spec);
/* Zeros that a staged gradient needs around it. */
int32_t kds_net_convolution_halo(const kds_layer *spec);

#endif
