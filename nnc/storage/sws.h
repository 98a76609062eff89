/* sws.h: reads networks stored as .sws, version 2. One file of C99 that needs nothing else.

   The page "File format" of the book says what every byte means; the names here are its names.
   In one source file of a program write

       #define SWS_IMPLEMENTATION
       #include "sws.h"

   and in all others the second line alone. Then

       size_t room;
       sws_file file;
       int error = sws_need(data, size, &room);
       if (!error && room <= MOST) error = sws_open(&file, data, size, malloc(room), room);

   lists the tensors, file.tensors[0] to file.tensors[file.count - 1], and

       error = sws_floats(&file, at, numbers, file.tensors[at].count);

   decodes one of them. Nothing is allocated: the memory is the caller's, who learns from sws_need
   how much it must be before any is taken, and from a tensor's count how large its numbers are.
   Data and memory must stay where they are while the file is in use.

   Whatever the data are, nothing outside of data, memory and results is read or written: a damaged
   file is an error. Checksums are compared, that of the directory when a file is opened and that
   of a tensor whenever it is decoded; what was written before damage was found means nothing.
   Metadata are not looked at. */

#ifndef SWS_H
#define SWS_H

#include <stddef.h>
#include <stdint.h>

/* Before what others call; "static inline" leaves out of a program what it does not call. */
#ifndef SWS_API
#define SWS_API
#endif

enum sws_error {
    SWS_OK,
    SWS_NO_SWS,      /* it does not begin as one */
    SWS_VERSION,     /* of another version */
    SWS_TRUNCATED,   /* it ends too early */
    SWS_CHECKSUM,    /* its bytes are not those that were written */
    SWS_DAMAGED,     /* what it says cannot be */
    SWS_LARGE,       /* larger than this machine's memory can be */
    SWS_ROOM,        /* the caller's buffer is too small */
    SWS_NOT_THERE,   /* no tensor has this place */
    SWS_NOT_CODED    /* the tensor is no quantised weight, it has no codes */
};

enum sws_type {
    SWS_FLOAT32, SWS_FLOAT16, SWS_FLOAT64, SWS_BFLOAT16, SWS_INT64,
    SWS_INT32, SWS_INT16, SWS_INT8, SWS_UINT8, SWS_BOOL
};

enum sws_form { SWS_AS_IS, SWS_RAW, SWS_ROWS, SWS_CONTEXT, SWS_TIED };

/* One tensor: what its head says, and where its bytes are. */
typedef struct {
    const uint8_t *name;    /* as the file has it; sws_name writes it out */
    size_t name_size;
    const size_t *shape;
    size_t dimensions;
    size_t count;           /* numbers in it */
    size_t rows, columns;   /* of the matrix that it is coded as */
    size_t same_as;         /* its own place, or that of the tensor it is tied to */
    size_t hint;            /* the place of the matrix that hints at it, else its own */
    size_t book;            /* values in its codebook, 0 where it is as it is */
    const uint8_t *numbers; /* the codebook, or the tensor as it is; then its pieces */
    size_t size;            /* bytes of all of these */
    const uint8_t *lengths; /* where the directory lists the bytes of its pieces */
    size_t pieces;
    uint32_t crc;           /* of all its bytes */
    uint8_t form;           /* enum sws_form */
    uint8_t weight;         /* 1 for a quantised weight, else it is of the network's rest */
    uint8_t type;           /* enum sws_type, of its numbers */
    uint8_t stored;         /* the same for how the file has them */
    uint8_t depth;          /* how many matrices hint at each other up to this one */
} sws_tensor;

/* An open file. What stands below the line is the reader's own. */
typedef struct {
    const sws_tensor *tensors;
    size_t count;
    /* ---- */
    uint32_t *order;        /* places by name, to find one */
    uint16_t *logs, *shares; /* tables of the context coder */
    int filled;             /* whether these are */
    uint16_t *before, *now; /* non-zeros by row: of the matrix that hints, and of the next */
    size_t known;           /* whose these are: 1 + a place, 0 for nobody's */
    uint8_t *work;          /* for whatever is decoded */
    size_t work_size;
} sws_file;

/* Bytes of memory that sws_open wants for this file. Nothing else than enum sws_error comes back
   from any function that gives an int. */
SWS_API int sws_need(const void *data, size_t size, size_t *room);

/* List the tensors of a file, all sizes checked. */
SWS_API int sws_open(sws_file *file, const void *data, size_t size, void *memory, size_t room);

/* The place of the tensor with this name, or file->count. */
SWS_API size_t sws_find(const sws_file *file, const char *name);

/* Write a tensor's name as text that ends with a zero, as much as there is room for.
   Returns how many bytes it has without that zero. */
SWS_API size_t sws_name(const sws_tensor *tensor, char *text, size_t room);

/* Bytes of a number of a type. */
SWS_API size_t sws_size_of(int type);

/* Decode a tensor to float32; room counts numbers. Whole numbers and float64 are rounded. */
SWS_API int sws_floats(sws_file *file, size_t at, float *numbers, size_t room);

/* Decode a tensor to its own type (float16 and bfloat16 as uint16_t); room counts bytes. */
SWS_API int sws_numbers(sws_file *file, size_t at, void *numbers, size_t room);

/* Decode a quantised weight to codes, place by place; weight i is number codes[i] of sws_book. */
SWS_API int sws_codes(sws_file *file, size_t at, int32_t *codes, size_t room);

/* The codebook of a quantised weight in the tensor's own type; room counts bytes. */
SWS_API int sws_book(sws_file *file, size_t at, void *numbers, size_t room);

/* Decode a tensor without keeping it: visit is called once for every number, in any order, with
   its place in the tensor and what sws_float calls it. */
typedef void sws_visitor(void *user, size_t place, size_t index);
SWS_API int sws_visit(sws_file *file, size_t at, sws_visitor *visit, void *user);

/* A number of a tensor, by what a visitor was given. Of a tied tensor ask tensors[same_as]. In a
   quantised weight number 0 is 0. */
SWS_API float sws_float(const sws_tensor *tensor, size_t index);

/* An error in words. */
SWS_API const char *sws_message(int error);

#endif

#ifdef SWS_IMPLEMENTATION

#include <string.h>

#define SWS_MOST_SIZE ((uint64_t)1 << 53) /* of any number in a file */
#define SWS_PIECE ((size_t)1 << 21)       /* weights of a piece */
#define SWS_MOST_DIMENSIONS 64
#define SWS_MOST_BOOK 65536
#define SWS_MOST_DEPTH 16                 /* matrices one hinting at the next */
#define SWS_MARGIN 64                     /* columns beyond either edge that count as zero */
#define SWS_CONTEXTS 12
#define SWS_MIXED 7                       /* contexts of one decision, at most */
#define SWS_SLOTS 16384                   /* of a context, at most */
#define SWS_KINDS 65                      /* of decisions */
#define SWS_LIMIT 4000                    /* decisions that a slot remembers */
#define SWS_STEEP 3072                    /* the largest log odds */
#define SWS_LOGS (SWS_LIMIT + 2)
#define SWS_SHARES (2 * SWS_STEEP + 1)
#define SWS_MOST_PER_BYTE 65536           /* weights */

/* Numbers */

static size_t sws_least(size_t a, size_t b) { return a < b ? a : b; }

/* x >> by, rounding down; C leaves open what that is for negative numbers. */
static int64_t sws_shifted(int64_t x, int by) { return x < 0 ? ~(~x >> by) : x >> by; }

static int64_t sws_clamped(int64_t x, int64_t most) {
    return x < -most ? -most : x > most ? most : x;
}

/* A whole number of so many bytes, the lowest first. */
static uint64_t sws_little(const uint8_t *at, size_t size) {
    uint64_t number = 0;
    while (size-- > 0) number = number << 8 | at[size];
    return number;
}

/* CRC-32 as in zip and PNG, four bits at a time: a table of 64 bytes. */
static uint32_t sws_crc(const uint8_t *at, size_t size) {
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c
    };
    uint32_t crc = 0xffffffff;
    for (; size > 0; at++, size--) {
        crc = table[(crc ^ *at) & 15] ^ crc >> 4;
        crc = table[(crc ^ *at >> 4) & 15] ^ crc >> 4;
    }
    return ~crc;
}

static size_t sws_type_size(int type) {
    static const uint8_t sizes[] = {4, 2, 8, 2, 8, 4, 2, 1, 1, 1};
    return sizes[type];
}

SWS_API size_t sws_size_of(int type) {
    return type < SWS_FLOAT32 || type > SWS_BOOL ? 0 : sws_type_size(type);
}

static int sws_is_signed(int type) { return type >= SWS_INT64 && type <= SWS_INT8; }

/* float16 as the bits of the float32 of the same value. */
static uint32_t sws_half(uint32_t half) {
    uint32_t sign = (half & 0x8000) << 16, exponent = half >> 10 & 31, part = half & 1023;
    if (exponent == 31) return sign | 0x7f800000 | part << 13;
    if (exponent == 0) {
        if (part == 0) return sign;
        for (exponent = 1; part < 1024; exponent--) part <<= 1;
        part &= 1023;
    }
    return sign | (exponent + 112) << 23 | part << 13;
}

static float sws_as_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t sws_bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Rounded to float32; beyond its range infinite, which C leaves open. */
static float sws_rounded(double value) {
    const double most = 340282356779733661637539395458142568448.0; /* 2^128 - 2^103 */
    if (value >= most) return sws_as_float(0x7f800000);
    if (value <= -most) return sws_as_float(0xff800000);
    return (float)value;
}

/* Whether a tensor's codebook is a scale and whole numbers. */
static int sws_is_scaled(const sws_tensor *tensor) {
    return tensor->form != SWS_AS_IS && tensor->type == SWS_FLOAT32
        && sws_is_signed(tensor->stored);
}

static int64_t sws_signed(uint64_t bits, size_t size) {
    uint64_t top = (uint64_t)1 << (8 * size - 1);
    return bits & top ? -(int64_t)(top - 1 - (bits & (top - 1))) - 1 : (int64_t)bits;
}

/* Number `index` of a tensor as bits of its own type; signed whole ones fill all 64. */
static uint64_t sws_bits(const sws_tensor *tensor, size_t index) {
    size_t size = sws_type_size(tensor->stored), scaled = sws_is_scaled(tensor) ? 4 : 0;
    uint64_t bits = sws_little(tensor->numbers + scaled + index * size, size);
    if (scaled) {
        double scale = sws_as_float((uint32_t)sws_little(tensor->numbers, 4));
        return sws_bits_of(sws_rounded((double)sws_signed(bits, size) * scale));
    }
    if (sws_is_signed(tensor->stored)) return (uint64_t)sws_signed(bits, size);
    return tensor->type == tensor->stored ? bits : sws_half((uint32_t)bits);
}

static double sws_double(const sws_tensor *tensor, size_t index) {
    uint64_t bits = sws_bits(tensor, index);
    double value;
    switch (tensor->type) {
    case SWS_FLOAT32: return sws_as_float((uint32_t)bits);
    case SWS_FLOAT16: return sws_as_float(sws_half((uint32_t)bits));
    case SWS_BFLOAT16: return sws_as_float((uint32_t)(bits << 16));
    case SWS_FLOAT64: memcpy(&value, &bits, sizeof value); return value;
    case SWS_UINT8: case SWS_BOOL: return (double)bits;
    default: return (double)sws_signed(bits, 8);
    }
}

SWS_API float sws_float(const sws_tensor *tensor, size_t index) {
    uint64_t bits = sws_bits(tensor, index);
    switch (tensor->type) { /* those that a double would not give bit for bit, or round twice */
    case SWS_FLOAT32: return sws_as_float((uint32_t)bits);
    case SWS_FLOAT16: return sws_as_float(sws_half((uint32_t)bits));
    case SWS_BFLOAT16: return sws_as_float((uint32_t)(bits << 16));
    case SWS_INT64: return (float)sws_signed(bits, 8);
    default: return sws_rounded(sws_double(tensor, index));
    }
}

/* Write a number in the byte order of this machine. */
static void sws_put(const sws_tensor *tensor, size_t index, uint8_t *to) {
    uint64_t bits = sws_bits(tensor, index);
    uint32_t four = (uint32_t)bits;
    uint16_t two = (uint16_t)bits;
    switch (sws_type_size(tensor->type)) {
    case 8: memcpy(to, &bits, 8); break;
    case 4: memcpy(to, &four, 4); break;
    case 2: memcpy(to, &two, 2); break;
    default: *to = (uint8_t)bits;
    }
}

/* Bytes from the front. What is read past the end is 0, and `failed` says so: who reads asks it
   before believing a number, and before counting up to one. */
typedef struct {
    const uint8_t *at;
    size_t left;
    int failed; /* enum sws_error */
} sws_bytes;

static const uint8_t *sws_take(sws_bytes *bytes, uint64_t count) {
    const uint8_t *at = bytes->at;
    if (count > bytes->left) {
        if (!bytes->failed) bytes->failed = SWS_TRUNCATED;
        bytes->left = 0;
        return NULL;
    }
    bytes->at += count;
    bytes->left -= (size_t)count;
    return at;
}

static unsigned sws_byte(sws_bytes *bytes) {
    const uint8_t *at = sws_take(bytes, 1);
    return at ? *at : 0;
}

static uint64_t sws_varint(sws_bytes *bytes) {
    uint64_t number = 0;
    int shift;
    for (shift = 0; shift < 63; shift += 7) {
        uint64_t group = sws_byte(bytes);
        number |= (group & 127) << shift;
        if (group < 128) {
            if (group == 0 && shift && !bytes->failed) bytes->failed = SWS_DAMAGED;
            return bytes->failed ? 0 : number;
        }
    }
    bytes->failed = SWS_DAMAGED;
    return 0;
}

static uint32_t sws_word(sws_bytes *bytes) {
    const uint8_t *at = sws_take(bytes, 4);
    return at ? (uint32_t)sws_little(at, 4) : 0;
}

/* Names */

/* The bytes of a name one by one, words in the place of what stands for them. */
typedef struct {
    const uint8_t *at, *end;
    const char *word;
} sws_letters;

static sws_letters sws_letters_of(const sws_tensor *tensor) {
    sws_letters letters = {tensor->name, tensor->name + tensor->name_size, ""};
    return letters;
}

/* The next byte, -1 at the end. */
static int sws_letter(sws_letters *letters) {
    static const char *const words[] = {
        "weight", "bias", "running_mean", "running_var", "num_batches_tracked"
    };
    if (*letters->word) return (unsigned char)*letters->word++;
    if (letters->at == letters->end) return -1;
    if (*letters->at < 0xf8) return *letters->at++;
    letters->word = words[*letters->at++ - 0xf8];
    return (unsigned char)*letters->word++;
}

static int sws_compared(const sws_tensor *one, const sws_tensor *other) {
    sws_letters a = sws_letters_of(one), b = sws_letters_of(other);
    int x, y;
    do {
        x = sws_letter(&a);
        y = sws_letter(&b);
    } while (x == y && x >= 0);
    return x - y;
}

/* Whether a name is UTF-8: bytes that stand for words count as letters. */
static int sws_is_text(const uint8_t *at, size_t size) {
    while (size > 0) {
        unsigned first = *at, more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
        unsigned low = 0x80, high = 0xbf, k;
        if (first >= 0xf8 && first <= 0xfc) more = 0;
        else if ((first >= 0x80 && first < 0xc2) || first > 0xf4) return 0;
        if (more >= size) return 0;
        if (first == 0xe0) low = 0xa0; /* nothing in more bytes than it needs, */
        if (first == 0xf0) low = 0x90;
        if (first == 0xed) high = 0x9f; /* no half of a surrogate pair, */
        if (first == 0xf4) high = 0x8f; /* nothing beyond the last letter */
        for (k = 1; k <= more; k++, low = 0x80, high = 0xbf)
            if (at[k] < low || at[k] > high) return 0;
        at += more + 1;
        size -= more + 1;
    }
    return 1;
}

/* Order */

typedef int sws_before(const void *of, uint32_t one, uint32_t other);

/* Let a number sink to its place in a heap, below those that come after it. */
static void sws_sink(uint32_t *heap, size_t at, size_t size, sws_before *before, const void *of) {
    size_t child;
    for (; (child = 2 * at + 1) < size; at = child) {
        uint32_t sinking = heap[at];
        if (child + 1 < size && before(of, heap[child], heap[child + 1])) child++;
        if (!before(of, sinking, heap[child])) return;
        heap[at] = heap[child];
        heap[child] = sinking;
    }
}

/* The numbers from 0 in order: as fast for hostile files as for others, and in place. */
static void sws_sort(uint32_t *numbers, size_t size, sws_before *before, const void *of) {
    size_t k;
    for (k = 0; k < size; k++) numbers[k] = (uint32_t)k;
    for (k = size / 2; k-- > 0;) sws_sink(numbers, k, size, before, of);
    for (k = size; k-- > 1;) {
        uint32_t last = numbers[0];
        numbers[0] = numbers[k];
        numbers[k] = last;
        sws_sink(numbers, 0, k, before, of);
    }
}

static int sws_name_before(const void *of, uint32_t one, uint32_t other) {
    const sws_tensor *tensors = of;
    return sws_compared(tensors + one, tensors + other) < 0;
}

static int sws_value_before(const void *of, uint32_t one, uint32_t other) {
    double a = sws_double(of, one), b = sws_double(of, other);
    return a < b || (a == b && one < other);
}

/* Memory: parts of one block, each at a multiple of eight bytes. Without a block they are only
   added up, so that what is asked for and what is used cannot differ. */

typedef struct {
    uint8_t *block;
    uint64_t used;
} sws_memory;

static void *sws_part(sws_memory *memory, uint64_t count, size_t size) {
    uint64_t at = memory->used;
    memory->used += (count * size + 7) / 8 * 8;
    return memory->block ? memory->block + at : NULL;
}

/* The directory */

/* Take the directory of a file, its checksum compared, and leave the bodies. */
static int sws_directory(const void *data, size_t size, sws_bytes *listed, sws_bytes *bodies) {
    const uint8_t *begin = data;
    uint64_t length;
    bodies->at = begin;
    bodies->left = size;
    bodies->failed = SWS_OK;
    if (size < 4 || memcmp(begin, "SWS", 3) != 0) return SWS_NO_SWS;
    if (begin[3] != 2) return SWS_VERSION;
    sws_take(bodies, 4);
    length = sws_varint(bodies);
    *listed = *bodies;
    sws_take(bodies, length);
    if (bodies->failed) return bodies->failed;
    listed->left = (size_t)length;
    length = sws_crc(begin, (size_t)(bodies->at - begin));
    if (sws_word(bodies) != length) return bodies->failed ? bodies->failed : SWS_CHECKSUM;
    sws_take(listed, sws_varint(listed)); /* the metadata */
    return listed->failed;
}

/* What a head says that sws_tensor has no place for. */
typedef struct {
    size_t shared;        /* bytes that the name has in common with the one before */
    const uint8_t *name;  /* the rest of it */
    const uint8_t *sides; /* where the sizes are */
    uint64_t back;        /* the place it is tied to, or how far back its hints are; 0 for none */
} sws_head;

/* Sizes and, one counting for zero, their product; what no memory has is refused. */
static int sws_sides(sws_bytes *listed, sws_tensor *tensor, size_t *shape) {
    uint64_t most = SWS_MOST_SIZE, first = 1, product = 1, zeros = 0;
    size_t k;
    if (most > (size_t)-1 / 16) most = (size_t)-1 / 16;
    for (k = 0; k < tensor->dimensions; k++) {
        uint64_t side = sws_varint(listed);
        if (listed->failed) return listed->failed;
        zeros += side == 0;
        if (side > most / product) return SWS_LARGE;
        product *= side ? side : 1;
        if (k == 0) first = side;
        if (shape) shape[k] = (size_t)side;
    }
    tensor->count = zeros ? 0 : (size_t)product;
    tensor->rows = tensor->dimensions > 1 ? (size_t)first : 1;
    tensor->columns = tensor->count ? tensor->count / tensor->rows : 0;
    return SWS_OK;
}

/* Whether numbers of a tensor's type can be in the file as they are said to be. */
static int sws_types_fit(const sws_tensor *tensor) {
    unsigned type = tensor->type, stored = tensor->stored;
    if (tensor->weight && type > SWS_BFLOAT16) return 0;
    if (type == stored || sws_is_scaled(tensor)) return 1;
    if (type == SWS_FLOAT32) return stored == SWS_FLOAT16;
    return sws_is_signed((int)type) && sws_is_signed((int)stored) && stored > type;
}

/* Rows of each piece of a matrix; the last may have fewer. */
static size_t sws_piece_rows(const sws_tensor *tensor) {
    size_t rows = SWS_PIECE / (tensor->columns ? tensor->columns : 1);
    return rows ? rows : 1;
}

/* Whether a matrix is small enough for hints, and a weight. */
static int sws_may_hint(const sws_tensor *tensor) {
    return tensor->weight && tensor->form != SWS_TIED && tensor->count > 0
        && tensor->count <= SWS_PIECE;
}

/* The rest of the head of a tensor that is tied to none. */
static int sws_read_own(sws_bytes *listed, sws_tensor *tensor, sws_head *head, unsigned form) {
    uint64_t pieces = 0, book = 0, dimensions;
    unsigned types;
    int error;
    head->back = form & 32 ? sws_varint(listed) : 0;
    types = sws_byte(listed);
    dimensions = sws_varint(listed);
    tensor->form = (uint8_t)(form % 16);
    tensor->weight = form % 32 < 16 && tensor->form != SWS_AS_IS;
    tensor->type = (uint8_t)(types >> 4);
    tensor->stored = (uint8_t)(types & 15);
    if (listed->failed) return listed->failed;
    if (tensor->form >= SWS_TIED || form >= 48 || (tensor->form == SWS_AS_IS && form)
        || tensor->type > SWS_BOOL || tensor->stored > SWS_BOOL || !sws_types_fit(tensor)
        || dimensions > SWS_MOST_DIMENSIONS)
        return SWS_DAMAGED;
    tensor->dimensions = (size_t)dimensions;
    head->sides = listed->at;
    if ((error = sws_sides(listed, tensor, NULL)) != SWS_OK) return error;
    if (tensor->form != SWS_AS_IS) {
        book = sws_varint(listed);
        if (!listed->failed && (book < 1 || book > SWS_MOST_BOOK)) return SWS_DAMAGED;
    }
    tensor->book = (size_t)book;
    if (book > 1 && tensor->count > 0) pieces = (tensor->rows - 1) / sws_piece_rows(tensor) + 1;
    if (pieces > listed->left) return SWS_TRUNCATED;
    tensor->pieces = (size_t)pieces;
    tensor->lengths = listed->at;
    while (pieces-- > 0) sws_varint(listed);
    tensor->crc = sws_word(listed);
    return listed->failed;
}

/* Read a head over that of the tensor before. */
static int sws_read_head(sws_bytes *listed, sws_tensor *tensor, sws_head *head) {
    uint64_t shared = sws_varint(listed), own = sws_varint(listed);
    size_t before = tensor->name_size; /* tensor still is the one before */
    unsigned form;
    memset(tensor, 0, sizeof *tensor);
    head->name = sws_take(listed, own);
    form = sws_byte(listed);
    if (listed->failed) return listed->failed;
    if (shared > before) return SWS_DAMAGED;
    if (own > SWS_MOST_SIZE - shared) return SWS_LARGE;
    head->shared = (size_t)shared;
    tensor->name_size = (size_t)(shared + own);
    if (form != SWS_TIED) return sws_read_own(listed, tensor, head, form);
    tensor->form = SWS_TIED;
    head->back = sws_varint(listed);
    return listed->failed;
}

/* Find the body of a tensor, which is the next. */
static int sws_read_body(sws_bytes *bodies, sws_tensor *tensor) {
    sws_bytes lengths = {tensor->lengths, (size_t)-1, SWS_OK}; /* read before: they end in time */
    size_t before = bodies->left, size = sws_type_size(tensor->stored), k;
    if (tensor->form == SWS_TIED) return SWS_OK;
    tensor->numbers = bodies->at;
    sws_take(bodies, (uint64_t)(tensor->book ? tensor->book : tensor->count) * size
                         + (sws_is_scaled(tensor) ? 4 : 0));
    for (k = 0; k < tensor->pieces; k++) sws_take(bodies, sws_varint(&lengths));
    tensor->size = before - bodies->left;
    return bodies->failed;
}

/* What is read of one tensor at a time, and what becomes of it */

typedef struct {
    const sws_tensor *tensor;
    sws_visitor *visit;     /* NULL where only non-zeros are counted */
    void *user;
    const uint32_t *order;  /* codes by ascending value; NULL where levels are codes */
    int32_t low, high;      /* levels */
    size_t first;           /* row of the piece */
    const uint16_t *hints;  /* non-zeros of the rows of the matrix that hints, or NULL */
    size_t repeat;          /* columns that one of these rows belongs to */
    uint16_t *now;          /* counts non-zeros of rows, or NULL */
} sws_task;

/* The lowest level: so many values come before that of code 0, which is zero. */
static int32_t sws_low(const sws_tensor *tensor) {
    int32_t low = 0;
    size_t k;
    if (tensor->weight)
        for (k = 0; k < tensor->book; k++) low -= sws_double(tensor, k) < 0;
    return low;
}

/* Hand a weight on. */
static void sws_emit(sws_task *task, size_t row, size_t column, int32_t level) {
    size_t index = (size_t)(level - task->low);
    row += task->first;
    if (task->now && level != 0 && task->now[row] < 4095) task->now[row]++;
    if (task->order) index = task->order[index];
    if (task->visit) task->visit(task->user, row * task->tensor->columns + column, index);
}

/* The two plain coders */

static int sws_raw(sws_task *task, const uint8_t *data, size_t size, size_t rows) {
    size_t columns = task->tensor->columns, row, column;
    uint32_t most = (uint32_t)(task->high - task->low), held = 0, level;
    unsigned width = 0, bits = 0; /* of a level; in held and not used yet */
    while (most >> width) width++;
    if (((uint64_t)rows * columns * width + 7) / 8 != size) return SWS_DAMAGED;
    for (row = 0; row < rows; row++)
        for (column = 0; column < columns; column++) {
            for (; bits < width; bits += 8) held = held << 8 | *data++;
            bits -= width;
            level = held >> bits & (((uint32_t)1 << width) - 1);
            if (level > most) return SWS_DAMAGED;
            sws_emit(task, row, column, (int32_t)level + task->low);
        }
    return held & (((uint32_t)1 << bits) - 1) ? SWS_DAMAGED : SWS_OK;
}

/* Whole bytes that hold a number. */
static size_t sws_width(uint64_t most) {
    return most >> 8 == 0 ? 1 : most >> 16 == 0 ? 2 : most >> 32 == 0 ? 4 : 8;
}

static int sws_rows(sws_task *task, const uint8_t *data, size_t size, size_t rows) {
    size_t columns = task->tensor->columns, row, column;
    uint32_t most = (uint32_t)(task->high - task->low);
    size_t w = sws_width((uint64_t)rows * columns), v = sws_width(columns - 1), u = sws_width(most);
    sws_bytes bytes = {data, size, SWS_OK};
    const uint8_t *pointers = sws_take(&bytes, ((uint64_t)rows + 1) * w), *where, *what;
    uint64_t at = 0, all;
    if (bytes.failed || sws_little(pointers, w) != 0) return SWS_DAMAGED;
    all = sws_little(pointers + rows * w, w);
    if (all > size || all * (v + u) != bytes.left) return SWS_DAMAGED;
    where = bytes.at;
    what = where + all * v;
    for (row = 0; row < rows; row++) {
        uint64_t end = sws_little(pointers + (row + 1) * w, w);
        if (end < at || end > all) return SWS_DAMAGED;
        for (column = 0; column < columns; column++) {
            int32_t level = 0;
            if (at < end && sws_little(where + at * v, v) == column) {
                uint64_t found = sws_little(what + at * u, u);
                if (found > most) return SWS_DAMAGED;
                level = (int32_t)found + task->low;
                if (level == 0) return SWS_DAMAGED; /* zeros are not listed */
                at++;
            }
            sws_emit(task, row, column, level);
        }
        if (at < end) return SWS_DAMAGED; /* a column that is none, or not after the one before */
    }
    return SWS_OK;
}

/* The context coder */

/* How a piece is scanned, the arithmetic decoder, and a model that learns from what it has read. */
typedef struct {
    size_t rows, columns, width; /* as scanned */
    int transposed, full;
    unsigned bits;               /* of a magnitude */
    const uint8_t *data;         /* the arithmetic code */
    size_t size, position;
    uint32_t range, code, last;  /* last: the four bytes before position */
    const uint16_t *logs, *shares;
    size_t first[SWS_CONTEXTS + 1]; /* slot of each context in counts */
    uint16_t *counts;            /* of each slot the zeros, then the ones */
    int32_t *weights;            /* by kind of decision and context */
    uint16_t *rates;             /* by kind */
    size_t slots[SWS_MIXED];     /* of the decision that is made */
    int8_t *here, *above;        /* small steps of this row and of the one before */
    uint16_t *ones, *recent;     /* by column */
    uint8_t *signs;
} sws_model;

/* How many slots each context can reach. A microcontroller has no room for all 16,384. */
static void sws_count_slots(sws_model *model) {
    size_t q = (size_t)1 << sws_least(model->bits, 6), k;
    size_t nodes = (size_t)1 << sws_least(model->bits, 13);
    const size_t slots[SWS_CONTEXTS] = {
        20 * 32, 256, 256, 25 * 32, 32 * 32, sws_least(model->rows, SWS_SLOTS),
        sws_least(model->columns, SWS_SLOTS), q * 256, q * 128, q * 32, q * 32, 2 * nodes
    };
    model->first[0] = 0;
    for (k = 0; k < SWS_CONTEXTS; k++)
        model->first[k + 1] = model->first[k] + (model->full || k == 0 || k == 7 ? slots[k] : 0);
}

/* Learn how a piece was scanned, and take the memory for it. */
static int sws_plan(sws_model *model, sws_memory *memory, const sws_task *task,
                    const uint8_t *data, size_t size, size_t rows) {
    size_t columns = task->tensor->columns;
    int32_t top = task->high > -task->low ? task->high : -task->low;
    memset(model, 0, sizeof *model);
    if (size == 0 || data[0] % 64 == 0) return SWS_DAMAGED;
    if ((uint64_t)rows * columns > ((uint64_t)size + 3) * SWS_MOST_PER_BYTE) return SWS_DAMAGED;
    model->transposed = data[0] >= 128;
    model->full = (data[0] & 64) != 0;
    model->width = data[0] % 64;
    model->rows = model->transposed ? columns : rows;
    model->columns = model->transposed ? rows : columns;
    while ((int32_t)1 << model->bits < top) model->bits++;
    model->data = data + 1;
    model->size = size - 1;
    sws_count_slots(model);
    model->counts = sws_part(memory, 2 * model->first[SWS_CONTEXTS], sizeof *model->counts);
    model->weights = sws_part(memory, SWS_KINDS * SWS_MIXED, sizeof *model->weights);
    model->rates = sws_part(memory, SWS_KINDS, sizeof *model->rates);
    model->here = sws_part(memory, (uint64_t)model->columns + 2 * SWS_MARGIN, 1);
    model->above = sws_part(memory, (uint64_t)model->columns + 2 * SWS_MARGIN, 1);
    model->ones = sws_part(memory, (uint64_t)model->columns + 2 * SWS_MARGIN, 2);
    model->recent = sws_part(memory, model->columns, 2);
    model->signs = sws_part(memory, model->columns, 1);
    return SWS_OK;
}

/* floor(256 log2(x)) for x from 1 to 32,767, in whole numbers throughout. */
static uint32_t sws_log2(uint32_t x) {
    uint32_t v = 0, k;
    while (x >> v > 1) v++;
    x <<= 15 - v;
    for (k = 0; k < 8; k++) {
        x = x * x >> 15; /* below 2^16 squared */
        v = 2 * v + (x >> 16);
        x >>= x >> 16;
    }
    return v;
}

/* Fill the tables: of log2 of counts, and of the probability that goes with log odds. */
static void sws_fill_tables(sws_file *file) {
    int32_t odds, t;
    uint32_t n, s = 1;
    if (file->filled) return;
    file->filled = 1;
    for (n = 0; n < SWS_LOGS; n++) file->logs[n] = (uint16_t)sws_log2(5 * n + 2);
    for (t = -SWS_STEEP; t <= SWS_STEEP; t++) {
        for (; s < 4096; s++) { /* odds only rise with s */
            odds = (int32_t)sws_log2(s) - (int32_t)sws_log2(4096 - s);
            if (odds > t) break;
        }
        file->shares[t + SWS_STEEP] = (uint16_t)(8 + 16 * (s - 1));
    }
}

/* A model that knows nothing yet. */
static void sws_begin(sws_model *model, sws_file *file) {
    size_t with_margins = model->columns + 2 * SWS_MARGIN, k;
    sws_fill_tables(file);
    model->logs = file->logs;
    model->shares = file->shares;
    memset(model->counts, 0, 2 * model->first[SWS_CONTEXTS] * sizeof *model->counts);
    for (k = 0; k < SWS_KINDS * SWS_MIXED; k++) model->weights[k] = 12000;
    for (k = 0; k < SWS_KINDS; k++) model->rates[k] = 1280;
    memset(model->here, 0, with_margins);
    memset(model->above, 0, with_margins);
    memset(model->ones, 0, with_margins * sizeof *model->ones);
    memset(model->recent, 0, model->columns * sizeof *model->recent);
    memset(model->signs, 0, model->columns);
    model->here += SWS_MARGIN;
    model->above += SWS_MARGIN;
    model->ones += SWS_MARGIN;
}

/* Let the arithmetic decoder read a byte; past the end there are zeros. */
static void sws_more(sws_model *model) {
    uint32_t byte = model->position < model->size ? model->data[model->position] : 0;
    model->position++;
    model->code = model->code << 8 | byte;
    model->last = model->last << 8 | byte;
}

static unsigned sws_bit(sws_model *model, uint32_t share) {
    uint32_t bound = (uint32_t)((uint64_t)model->range * share >> 16);
    unsigned bit = model->code < bound;
    if (bit) {
        model->range = bound;
    } else {
        model->range -= bound;
        model->code -= bound;
    }
    for (; model->range < (uint32_t)1 << 24; model->range <<= 8) sws_more(model);
    return bit;
}

/* Whether the code ends as a writer ends it, so that no byte could be other or missing: with the
   number of the last interval that has most zeros at its end, these left out. */
static int sws_is_end(const sws_model *model, uint64_t weights) {
    uint32_t low = model->last - model->code, distance = 0 - low; /* modulo 2^32 */
    uint64_t least = (weights + SWS_MOST_PER_BYTE - 1) / SWS_MOST_PER_BYTE;
    int kept;
    for (kept = 24; distance >= model->range; kept -= 8)
        distance = (0 - low) & (((uint32_t)1 << kept) - 1);
    if (model->code != distance || model->size > model->position) return 0;
    return model->size == 0 || model->data[model->size - 1] != 0
        || (uint64_t)model->size + 4 <= least;
}

/* A decision: the odds that the first slots have seen, mixed; then slots and weights learn it. */
static unsigned sws_decide(sws_model *model, size_t kind, size_t used) {
    int32_t *weights = model->weights + kind * SWS_MIXED, odds[SWS_MIXED], share;
    int64_t total = 0, error;
    unsigned bit;
    size_t k;
    for (k = 0; k < used; k++) {
        const uint16_t *count = model->counts + 2 * model->slots[k];
        odds[k] = (int32_t)model->logs[count[1]] - (int32_t)model->logs[count[0]];
        total += (int64_t)odds[k] * weights[k];
    }
    share = model->shares[SWS_STEEP + sws_clamped(sws_shifted(total, 16), SWS_STEEP)];
    bit = sws_bit(model, (uint32_t)share);
    error = ((int64_t)bit * 65536 - share) * (model->rates[kind] >> 4);
    if (model->rates[kind] > 128) model->rates[kind]--;
    for (k = 0; k < used; k++) {
        uint16_t *count = model->counts + 2 * model->slots[k];
        int64_t weight = weights[k] + sws_shifted(odds[k] * error, 20);
        weights[k] = (int32_t)sws_clamped(weight, 1 << 20);
        count[bit]++;
        if (count[0] + count[1] > SWS_LIMIT) {
            count[0] = (uint16_t)((count[0] + 1) >> 1);
            count[1] = (uint16_t)((count[1] + 1) >> 1);
        }
    }
    return bit;
}

/* Two steps for each power of two: S of the page, numbers above 4,095 counting as that. */
static size_t sws_step(size_t n) {
    size_t m = sws_least(n, 4095) + 1, e = 0;
    while (m >> e > 1) e++;
    return 2 * e + (e > 0 ? m >> (e - 1) & 1 : 0);
}

static size_t sws_sign(int x) { return x == 0 ? 0 : x < 0 ? 1 : 2; }

/* What is near the weight that is decoded. */
typedef struct {
    int a, b, d;         /* small steps to the left, further left or above, in the row before */
    size_t c, r;         /* steps of recent sizes in column and row */
    size_t sign, gap;    /* of the last non-zero of the row, and since then */
} sws_near;

/* Name the slots of the first contexts; each is counted from the first of its context. */
static void sws_use(sws_model *model, size_t context, size_t used, const size_t *slots) {
    size_t k;
    for (k = 0; k < used; k++) model->slots[k] = model->first[context + k] + slots[k];
}

static unsigned sws_is_not_zero(sws_model *m, const sws_near *n, size_t hint, size_t row,
                                size_t column) {
    const int8_t *here = m->here + column, *above = m->above + column;
    const uint16_t *ones = m->ones + column;
    ptrdiff_t width = (ptrdiff_t)m->width;
    size_t slots[7], lit = 0, around;
    slots[0] = 32 * n->c + n->r;
    if (m->full) {
        lit = (n->a != 0) | (size_t)(here[-2] != 0) << 1 | (size_t)(n->d != 0) << 2
            | (size_t)(above[1] != 0) << 3 | (size_t)(above[-1] != 0) << 4;
        around = (size_t)ones[-1] + ones[1];
        if (width > 1) {
            lit |= (size_t)(n->b != 0) << 5 | (size_t)(here[1 - width] != 0) << 6
                 | (size_t)(here[-1 - width] != 0) << 7;
            around += (size_t)ones[-width] + ones[width];
        } else {
            around *= 2;
        }
        slots[1] = lit;
        slots[2] = (size_t)(16 * (n->a + 8) + n->b + 8);
        slots[3] = 32 * hint + sws_step(*ones);
        slots[4] = 32 * sws_least(n->gap, 31) + sws_step(around);
        slots[5] = row % SWS_SLOTS;
        slots[6] = column % SWS_SLOTS;
    }
    sws_use(m, 0, m->full ? 7 : 1, slots);
    return sws_decide(m, 0, m->full ? 7 : 1);
}

static unsigned sws_is_negative(sws_model *m, const sws_near *n, size_t column) {
    const size_t slots[5] = {
        3 * sws_sign(n->a) + sws_sign(n->b), 3 * sws_sign(n->a) + sws_sign(n->d), n->sign,
        m->signs[column], 0
    };
    sws_use(m, 7, m->full ? 5 : 1, slots);
    return sws_decide(m, 1, m->full ? 5 : 1);
}

static int32_t sws_magnitude(sws_model *m, const sws_near *n, unsigned negative) {
    int a = negative ? -n->a : n->a, b = negative ? -n->b : n->b;
    size_t node = 1;
    unsigned k;
    for (k = 0; k < m->bits; k++) {
        size_t q = sws_least(node, 63);
        const size_t slots[5] = { /* contexts 8 to 10 use fewer than 256 slots of each q */
            256 * q + (size_t)(16 * (8 + a) + 8 + b),
            128 * q + (size_t)(16 * (a < 0 ? -a : a) + (n->d < 0 ? -n->d : n->d)),
            32 * q + n->r, 32 * q + n->c, 2 * sws_least(node, 8191) + negative
        };
        sws_use(m, 7, m->full ? 5 : 1, slots);
        node = 2 * node + sws_decide(m, 1 + q, m->full ? 5 : 1);
    }
    return (int32_t)(node - ((size_t)1 << m->bits) + 1);
}

/* Decode a weight: 1 where it is a possible level. */
static int sws_level(sws_model *m, const sws_task *task, const sws_near *near, size_t row,
                     size_t column, int32_t *level) {
    size_t original = m->transposed ? row : column, hint = 0;
    unsigned negative = task->high == 0;
    *level = 0;
    if (task->hints) hint = sws_step(task->hints[original / task->repeat]);
    if (!sws_is_not_zero(m, near, hint, row, column)) return 1;
    if (task->low < 0 && task->high > 0) negative = sws_is_negative(m, near, column);
    *level = sws_magnitude(m, near, negative);
    if (negative) *level = -*level;
    return *level >= task->low && *level <= task->high;
}

/* A mean that forgets: each step takes in a thirty-second of what is new. */
static uint16_t sws_mean(uint16_t mean, int32_t step) {
    return (uint16_t)(mean + sws_shifted(512 * (int64_t)step - mean, 5));
}

static int sws_row(sws_model *m, sws_task *task, size_t row) {
    int32_t top = task->high > -task->low ? task->high : -task->low, level;
    ptrdiff_t back = m->width > 1 ? (ptrdiff_t)m->width : 2;
    uint16_t recent = 0;
    sws_near near = {0, 0, 0, 0, 0, 0, 0};
    size_t column;
    for (column = 0; column < m->columns; column++) {
        int8_t *here = m->here + column;
        int32_t step;
        near.a = here[-1];
        near.b = here[-back];
        near.d = m->above[column];
        near.c = sws_step(m->recent[column] >> 2);
        near.r = sws_step(recent >> 2);
        if (!sws_level(m, task, &near, row, column, &level)) return SWS_DAMAGED;
        step = level < 0 ? -level : level;
        if (step && top > 7) step = 1 + (step - 1) * 7 / top;
        near.gap++;
        if (level) {
            m->signs[column] = (uint8_t)sws_sign(level);
            near.sign = sws_sign(level);
            near.gap = 0;
            if (m->ones[column] < 4095) m->ones[column]++;
        }
        m->recent[column] = sws_mean(m->recent[column], step);
        recent = sws_mean(recent, step);
        *here = (int8_t)(level < 0 ? -step : step);
        if (m->transposed) sws_emit(task, column, row, level);
        else sws_emit(task, row, column, level);
    }
    return SWS_OK;
}

static int sws_context(sws_file *file, sws_task *task, sws_memory memory,
                       const uint8_t *data, size_t size, size_t rows) {
    sws_model model;
    size_t row;
    int k, error = sws_plan(&model, &memory, task, data, size, rows);
    if (error) return error;
    sws_begin(&model, file);
    model.range = 0xffffffff;
    for (k = 0; k < 4; k++) sws_more(&model);
    for (row = 0; row < model.rows; row++) {
        int8_t *line = model.above;
        if ((error = sws_row(&model, task, row)) != SWS_OK) return error;
        model.above = model.here;
        model.here = line;
        memset(line, 0, model.columns);
    }
    return sws_is_end(&model, (uint64_t)model.rows * model.columns) ? SWS_OK : SWS_DAMAGED;
}

/* Decoding a tensor */

/* Take the memory that decoding a tensor needs before its pieces. */
static uint32_t *sws_order(sws_memory *memory, const sws_tensor *tensor) {
    return sws_part(memory, tensor->weight ? tensor->book : 0, sizeof(uint32_t));
}

static sws_task sws_task_of(const sws_tensor *tensor) {
    sws_task task;
    memset(&task, 0, sizeof task);
    task.tensor = tensor;
    task.low = sws_low(tensor);
    task.high = task.low + (int32_t)tensor->book - 1;
    return task;
}

/* The bytes that decoding a tensor takes at most. */
static int sws_work(const sws_tensor *tensor, uint64_t *most) {
    sws_memory before = {NULL, 0}, memory;
    sws_bytes lengths = {tensor->lengths, (size_t)-1, SWS_OK};
    sws_task task = sws_task_of(tensor);
    size_t k, left = tensor->rows, rows = sws_piece_rows(tensor);
    uint64_t sizes = 0;
    sws_model model;
    int error = SWS_OK;
    sws_order(&before, tensor);
    if (*most < before.used) *most = before.used;
    for (k = 0; k < tensor->pieces; k++) sizes += sws_varint(&lengths);
    lengths.at = tensor->lengths;
    for (k = 0; k < tensor->pieces && tensor->form == SWS_CONTEXT && !error; k++, left -= rows) {
        size_t size = (size_t)sws_varint(&lengths);
        memory = before;
        error = sws_plan(&model, &memory, &task, tensor->numbers + tensor->size - sizes, size,
                         sws_least(rows, left));
        sizes -= size;
        if (*most < memory.used) *most = memory.used;
    }
    return error;
}

/* Compare the checksum, and look at the numbers. */
static int sws_check(const sws_tensor *tensor) {
    size_t numbers = tensor->book ? tensor->book : tensor->count, k;
    if (sws_crc(tensor->numbers, tensor->size) != tensor->crc) return SWS_CHECKSUM;
    if (tensor->type == SWS_BOOL)
        for (k = 0; k < numbers; k++)
            if (tensor->numbers[k] > 1) return SWS_DAMAGED;
    if (!tensor->weight) return SWS_OK;
    for (k = 0; k < numbers; k++) {
        double value = sws_double(tensor, k);
        if (!(value - value == 0)) return SWS_DAMAGED; /* not finite */
    }
    return sws_double(tensor, 0) == 0 ? SWS_OK : SWS_DAMAGED;
}

/* Decode the matrix of a coded tensor, piece by piece. */
static int sws_matrix(sws_file *file, sws_task *task, sws_memory memory) {
    const sws_tensor *tensor = task->tensor;
    sws_bytes lengths = {tensor->lengths, (size_t)-1, SWS_OK};
    size_t scale = sws_is_scaled(tensor) ? 4 : 0, step = sws_piece_rows(tensor), k;
    const uint8_t *data = tensor->numbers + scale + tensor->book * sws_type_size(tensor->stored);
    for (k = 0; k < tensor->pieces; k++, task->first += step) {
        size_t size = (size_t)sws_varint(&lengths), rows = sws_least(step, tensor->rows - k * step);
        int error = tensor->form == SWS_RAW  ? sws_raw(task, data, size, rows)
                  : tensor->form == SWS_ROWS ? sws_rows(task, data, size, rows)
                                             : sws_context(file, task, memory, data, size, rows);
        if (error) return error;
        data += size;
    }
    return SWS_OK;
}

/* Decode a tensor that is not tied, for which `before` has the hints. */
static int sws_decode(sws_file *file, size_t at, sws_visitor *visit, void *user) {
    const sws_tensor *tensor = file->tensors + at;
    sws_memory memory = {file->work, 0};
    int hinting = file->before && tensor->dimensions > 1 && sws_may_hint(tensor);
    int error = sws_check(tensor);
    sws_task task;
    size_t k;
    if (error) return error;
    if (tensor->pieces == 0) { /* as it is, or number 0 throughout */
        for (k = 0; visit && k < tensor->count; k++) visit(user, k, tensor->book ? 0 : k);
    }
    task = sws_task_of(tensor);
    task.visit = visit;
    task.user = user;
    if (tensor->weight) {
        uint32_t *order = sws_order(&memory, tensor);
        sws_sort(order, tensor->book, sws_value_before, tensor);
        task.order = order;
    }
    if (tensor->hint != at) {
        task.hints = file->before;
        task.repeat = tensor->columns / file->tensors[tensor->hint].rows;
    }
    if (hinting) {
        task.now = file->now;
        memset(file->now, 0, tensor->rows * sizeof *file->now);
    }
    memory.block += memory.used;
    memory.used = 0;
    error = sws_matrix(file, &task, memory);
    if (hinting && !error) {
        file->now = file->before;
        file->before = task.now;
        file->known = at + 1;
    }
    return error;
}

SWS_API int sws_visit(sws_file *file, size_t at, sws_visitor *visit, void *user) {
    size_t chain[SWS_MOST_DEPTH], depth = 0, next;
    if (at >= file->count) return SWS_NOT_THERE;
    at = file->tensors[at].same_as;
    /* Matrices that hint are read first, unless one of them was the last to be read. */
    for (next = at; file->tensors[next].hint != next; next = chain[depth++]) {
        if (file->known == file->tensors[next].hint + 1) break;
        chain[depth] = file->tensors[next].hint;
    }
    while (depth-- > 0) {
        int error = sws_decode(file, chain[depth], NULL, NULL);
        if (error) return error;
    }
    return sws_decode(file, at, visit, user);
}

/* Opening */

/* How much of everything a directory has. */
typedef struct {
    uint64_t tensors, sides, names, rows, work;
    int hinted, context;
} sws_sums;

static int sws_add_up(sws_sums *sums, const sws_tensor *tensor, const sws_head *head) {
    sums->tensors++;
    sums->names += tensor->name_size;
    if (sums->names > SWS_MOST_SIZE || sums->tensors > 0xffffffff) return SWS_LARGE;
    if (tensor->form == SWS_TIED) return SWS_OK;
    sums->sides += tensor->dimensions;
    if (tensor->dimensions > 1 && sws_may_hint(tensor) && tensor->rows > sums->rows)
        sums->rows = tensor->rows;
    sums->hinted |= head->back != 0;
    sums->context |= tensor->form == SWS_CONTEXT && tensor->pieces > 0;
    return sws_work(tensor, &sums->work);
}

static int sws_look_through(const void *data, size_t size, sws_sums *sums) {
    sws_bytes listed, bodies;
    sws_tensor tensor;
    sws_head head;
    uint64_t left;
    int error = sws_directory(data, size, &listed, &bodies);
    memset(sums, 0, sizeof *sums);
    memset(&tensor, 0, sizeof tensor);
    if (error) return error;
    for (left = sws_varint(&listed); left > 0; left--) {
        if ((error = sws_read_head(&listed, &tensor, &head)) != SWS_OK) return error;
        if ((error = sws_read_body(&bodies, &tensor)) != SWS_OK) return error;
        if ((error = sws_add_up(sums, &tensor, &head)) != SWS_OK) return error;
    }
    if (listed.failed) return listed.failed;
    return listed.left || bodies.left ? SWS_DAMAGED : SWS_OK;
}

/* Where everything is in the caller's memory. */
typedef struct {
    sws_tensor *tensors;
    size_t *sides;
    uint8_t *names;
} sws_lists;

static uint64_t sws_lay_out(sws_file *file, sws_lists *lists, const sws_sums *sums, void *block) {
    sws_memory memory = {block, 0};
    uint64_t rows = sums->hinted ? sums->rows : 0;
    if (block) memory.block += (8 - (uintptr_t)block % 8) % 8;
    lists->tensors = sws_part(&memory, sums->tensors, sizeof *lists->tensors);
    lists->sides = sws_part(&memory, sums->sides, sizeof *lists->sides);
    lists->names = sws_part(&memory, sums->names, 1);
    memset(file, 0, sizeof *file);
    file->tensors = lists->tensors;
    file->order = sws_part(&memory, sums->tensors, sizeof *file->order);
    file->logs = sws_part(&memory, sums->context ? SWS_LOGS : 0, sizeof *file->logs);
    file->shares = sws_part(&memory, sums->context ? SWS_SHARES : 0, sizeof *file->shares);
    file->before = sws_part(&memory, rows, sizeof *file->before);
    file->now = sws_part(&memory, rows, sizeof *file->now);
    file->work = sws_part(&memory, sums->work, 1);
    if (!sums->hinted) file->before = NULL;
    return memory.used + 7; /* for a block that does not begin at a multiple of eight */
}

SWS_API int sws_need(const void *data, size_t size, size_t *room) {
    sws_sums sums;
    sws_lists lists;
    sws_file file;
    uint64_t need;
    int error = sws_look_through(data, size, &sums);
    *room = 0;
    if (error) return error;
    need = sws_lay_out(&file, &lists, &sums, NULL);
    if (need > (size_t)-1 / 2) return SWS_LARGE;
    *room = (size_t)need;
    return SWS_OK;
}

/* Let a tensor be another one under its own name. */
static int sws_tie(sws_tensor *tensor, const sws_tensor *tensors, size_t at, uint64_t place) {
    sws_tensor own = *tensor;
    if (place >= at || tensors[place].form == SWS_TIED) return SWS_DAMAGED;
    *tensor = tensors[place];
    tensor->name = own.name;
    tensor->name_size = own.name_size;
    tensor->form = SWS_TIED;
    tensor->same_as = (size_t)place;
    tensor->size = 0;
    return SWS_OK;
}

/* Let a tensor have its hints from the matrix so many places before it, if this can give them. */
static int sws_hint(sws_tensor *tensor, const sws_tensor *tensors, size_t at, uint64_t back) {
    const sws_tensor *other;
    if (back > at) return SWS_DAMAGED;
    other = tensors + (at - back);
    if (!sws_may_hint(tensor) || !sws_may_hint(other) || other->dimensions < 2
        || tensor->columns % other->rows != 0 || other->depth >= SWS_MOST_DEPTH)
        return SWS_DAMAGED;
    tensor->hint = at - (size_t)back;
    tensor->depth = (uint8_t)(other->depth + 1);
    return SWS_OK;
}

/* Read the heads once more, into the caller's memory. */
static int sws_list(sws_bytes *listed, sws_bytes *bodies, sws_file *file, sws_lists lists) {
    sws_tensor tensor;
    sws_head head;
    const uint8_t *before = lists.names;
    int error;
    memset(&tensor, 0, sizeof tensor);
    for (file->count = 0; listed->left > 0; file->count++) {
        if ((error = sws_read_head(listed, &tensor, &head)) != SWS_OK) return error;
        memmove(lists.names, before, head.shared);
        memcpy(lists.names + head.shared, head.name, tensor.name_size - head.shared);
        before = tensor.name = lists.names;
        lists.names += tensor.name_size;
        if (!sws_is_text(before, tensor.name_size)) return SWS_DAMAGED;
        if (tensor.form == SWS_TIED) {
            error = sws_tie(&tensor, file->tensors, file->count, head.back);
        } else {
            sws_bytes sides = {head.sides, (size_t)-1, SWS_OK};
            sws_sides(&sides, &tensor, lists.sides);
            tensor.shape = lists.sides;
            lists.sides += tensor.dimensions;
            tensor.same_as = tensor.hint = file->count;
            tensor.depth = 1;
            error = sws_read_body(bodies, &tensor);
            if (!error && head.back) error = sws_hint(&tensor, file->tensors, file->count, head.back);
        }
        if (error) return error;
        lists.tensors[file->count] = tensor;
    }
    return SWS_OK;
}

SWS_API int sws_open(sws_file *file, const void *data, size_t size, void *memory, size_t room) {
    sws_bytes listed, bodies;
    sws_sums sums;
    sws_lists lists;
    int error = sws_look_through(data, size, &sums);
    size_t k;
    memset(file, 0, sizeof *file);
    if (error) return error;
    if (!memory || sws_lay_out(file, &lists, &sums, NULL) > room) return SWS_ROOM;
    sws_lay_out(file, &lists, &sums, memory);
    sws_directory(data, size, &listed, &bodies); /* it is right, as is every size in it */
    sws_varint(&listed);
    if ((error = sws_list(&listed, &bodies, file, lists)) != SWS_OK) return error;
    sws_sort(file->order, file->count, sws_name_before, file->tensors);
    for (k = 1; k < file->count; k++) /* no two names are equal */
        if (!sws_name_before(file->tensors, file->order[k - 1], file->order[k])) return SWS_DAMAGED;
    return SWS_OK;
}

/* What is left of the interface */

SWS_API size_t sws_name(const sws_tensor *tensor, char *text, size_t room) {
    sws_letters letters = sws_letters_of(tensor);
    size_t size = 0;
    int letter;
    for (; (letter = sws_letter(&letters)) >= 0; size++)
        if (size + 1 < room) text[size] = (char)letter;
    if (room > 0) text[sws_least(size, room - 1)] = 0;
    return size;
}

SWS_API size_t sws_find(const sws_file *file, const char *name) {
    size_t low = 0, high = file->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2, at = file->order[middle];
        sws_letters letters = sws_letters_of(file->tensors + at);
        const char *wanted = name;
        int letter;
        while ((letter = sws_letter(&letters)) >= 0 && letter == (unsigned char)*wanted && letter)
            wanted++;
        if (letter < 0 && !*wanted) return at;
        if (letter < (unsigned char)*wanted) low = middle + 1;
        else high = middle;
    }
    return file->count;
}

/* Where a visitor of ours writes to. */
typedef struct {
    const sws_tensor *tensor;
    void *to;
} sws_target;

static void sws_put_float(void *user, size_t place, size_t index) {
    const sws_target *target = user;
    float *numbers = target->to;
    numbers[place] = sws_float(target->tensor, index);
}

static void sws_put_number(void *user, size_t place, size_t index) {
    const sws_target *target = user;
    uint8_t *to = target->to;
    sws_put(target->tensor, index, to + place * sws_type_size(target->tensor->type));
}

static void sws_put_code(void *user, size_t place, size_t index) {
    const sws_target *target = user;
    int32_t *codes = target->to;
    codes[place] = (int32_t)index;
}

static int sws_all(sws_file *file, size_t at, sws_visitor *visit, void *to, size_t room,
                   size_t size) {
    sws_target target = {NULL, NULL};
    if (at >= file->count) return SWS_NOT_THERE;
    target.tensor = file->tensors + file->tensors[at].same_as;
    target.to = to;
    if (room / size < target.tensor->count) return SWS_ROOM;
    return sws_visit(file, at, visit, &target);
}

SWS_API int sws_floats(sws_file *file, size_t at, float *numbers, size_t room) {
    return sws_all(file, at, sws_put_float, numbers, room, 1);
}

SWS_API int sws_numbers(sws_file *file, size_t at, void *numbers, size_t room) {
    size_t size = at < file->count ? sws_type_size(file->tensors[at].type) : 1;
    return sws_all(file, at, sws_put_number, numbers, room, size);
}

SWS_API int sws_codes(sws_file *file, size_t at, int32_t *codes, size_t room) {
    if (at < file->count && !file->tensors[at].weight) return SWS_NOT_CODED;
    return sws_all(file, at, sws_put_code, codes, room, 1);
}

SWS_API int sws_book(sws_file *file, size_t at, void *numbers, size_t room) {
    sws_target target = {NULL, NULL};
    size_t k;
    int error;
    if (at >= file->count) return SWS_NOT_THERE;
    target.tensor = file->tensors + file->tensors[at].same_as;
    target.to = numbers;
    if (!target.tensor->weight) return SWS_NOT_CODED;
    if (room / sws_type_size(target.tensor->type) < target.tensor->book) return SWS_ROOM;
    if ((error = sws_check(target.tensor)) != SWS_OK) return error;
    for (k = 0; k < target.tensor->book; k++) sws_put_number(&target, k, k);
    return SWS_OK;
}

SWS_API const char *sws_message(int error) {
    static const char *const messages[] = {
        "all is well",
        "the data do not begin as a .sws file",
        "the file is of another version than 2",
        "the file ends too early",
        "a checksum does not fit: the file is damaged",
        "what the file says cannot be: it is damaged",
        "the file holds more than this machine can",
        "the buffer is too small",
        "there is no tensor at this place",
        "the tensor is not quantised"
    };
    return error < SWS_OK || error > SWS_NOT_CODED ? "no error of sws.h" : messages[error];
}

#endif
