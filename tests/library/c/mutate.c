/* Damages .sws files at random, puts their checksums right, and reads them.

       mutate SEED FILES MOST [KEPT]  < files in a row

   Half of the files have bytes of the directory changed, moved, put in or taken out, the others
   bytes of the bodies, or a byte more at the end of a piece. MOST is how many bytes a network may
   take. Prints how many were read and refused, by error, and the slowest in seconds; with KEPT all
   damaged files are written there, in a row. A sanitizer ends the program where the reader errs.

   Compiled with -DLIBFUZZER it is a target of libFuzzer instead, whose inputs are the length of a
   directory in two bytes, the directory, and the bodies; scripts/fuzz_reader.py says how. */

#include <time.h>

#include "told.h"

#define MOST_BASES 64
#define ROOM 65536

static uint64_t state;

/* Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014). */
static uint64_t chance(void) {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static size_t below(size_t most) { return most ? (size_t)(chance() % most) : 0; }

typedef struct {
    uint8_t bytes[ROOM];
    size_t size;
} text;

/* Put bytes in the place of others. */
static void splice(text *one, size_t at, size_t out, const uint8_t *bytes, size_t in) {
    uint8_t copy[16];
    if (in > sizeof copy || one->size - out + in > ROOM) return;
    memcpy(copy, bytes, in);
    memmove(one->bytes + at + in, one->bytes + at + out, one->size - at - out);
    memcpy(one->bytes + at, copy, in);
    one->size += in - out;
}

static size_t varint(uint64_t number, uint8_t *bytes) {
    size_t size = 0;
    for (; number >= 128; number >>= 7) bytes[size++] = (uint8_t)(number | 128);
    bytes[size++] = (uint8_t)number;
    return size;
}

static void damage(text *one, const text *other) {
    static const uint64_t numbers[] = {
        0, 1, 2, 3, 127, 128, 255, 256, 65535, 65536, 65537, 1 << 20, (uint64_t)1 << 32,
        (uint64_t)1 << 53, (uint64_t)1 << 62, ((uint64_t)1 << 63) - 1
    };
    static const uint8_t often[] = {0, 1, 2, 16, 64, 127, 128, 254, 255};
    uint8_t bytes[16];
    size_t at = below(one->size + 1), from, length = 1 + below(8), left = one->size - at, k;
    for (k = 0; k < sizeof bytes; k++) bytes[k] = (uint8_t)chance();
    from = below(one->size + 1);
    if (length > left) length = left;
    if (left == 0) {
        splice(one, at, 0, bytes, 1);
        return;
    }
    switch (below(12)) {
    case 0: case 1: one->bytes[at] ^= (uint8_t)(1 << below(8)); break;
    case 2: one->bytes[at] = often[below(sizeof often)]; break;
    case 3: one->bytes[at]++; break;
    case 4: one->bytes[at]--; break;
    case 5: splice(one, at, 0, bytes, 1 + below(8)); break;
    case 6: splice(one, at, below(2), bytes, varint(numbers[below(16)], bytes)); break;
    case 7: splice(one, at, length, bytes, 0); break;
    case 8: splice(one, from, 0, one->bytes + at, length); break;
    case 9: one->bytes[at] = one->size > from ? one->bytes[from] : 0; break;
    case 10: if (below(8) == 0) one->size = at; break;
    default:
        if (other->size < 8) break;
        splice(one, at, below(2) * length, other->bytes + below(other->size - 8), length);
    }
}

/* A file, its checksum right whatever it says. */
static blob sealed(const text *listed, const text *bodies) {
    blob file;
    size_t size = 4;
    uint32_t crc;
    int k;
    file.data = block_of(listed->size + bodies->size + 32);
    memcpy(file.data, "SWS\2", 4);
    size += varint(listed->size, file.data + size);
    memcpy(file.data + size, listed->bytes, listed->size);
    size += listed->size;
    crc = sws_crc(file.data, size);
    for (k = 0; k < 4; k++) file.data[size++] = (uint8_t)(crc >> 8 * k);
    memcpy(file.data + size, bodies->bytes, bodies->size);
    file.size = size + bodies->size;
    return file;
}

/* The tensors of a file one by one, as far as it can be read. */
typedef struct {
    sws_bytes list, body;
    sws_tensor tensor;
    uint64_t left; /* after this one */
} walk;

static walk first(const text *listed, const text *bodies) {
    walk all;
    memset(&all, 0, sizeof all);
    all.list.at = listed->bytes, all.list.left = listed->size;
    all.body.at = bodies->bytes, all.body.left = bodies->size;
    sws_take(&all.list, sws_varint(&all.list));
    all.left = sws_varint(&all.list);
    return all;
}

static int next(walk *all) {
    sws_head head;
    if (all->left == 0) return 0;
    all->left--;
    return !sws_read_head(&all->list, &all->tensor, &head) &&
           !sws_read_body(&all->body, &all->tensor);
}

/* Put the checksums of the tensors in a directory right, as far as it can be read. */
static void mend(text *listed, const text *bodies) {
    walk all = first(listed, bodies);
    while (next(&all)) {
        uint32_t crc;
        int k;
        if (all.tensor.form == SWS_TIED) continue;
        crc = sws_crc(all.tensor.numbers, all.tensor.size);
        for (k = 0; k < 4; k++) listed->bytes[all.list.at - listed->bytes - 4 + k] = (uint8_t)(crc >> 8 * k);
    }
}

/* Give a piece a byte more, or take its last. */
static void stretch(text *listed, text *bodies) {
    walk all = first(listed, bodies);
    while (next(&all)) {
        uint8_t *length, byte = (uint8_t)(below(2) ? 0 : chance());
        size_t end;
        if (all.tensor.pieces == 0 || (all.left > 0 && below(2))) continue;
        length = listed->bytes + (all.tensor.lengths - listed->bytes);
        end = (size_t)(all.body.at - bodies->bytes);
        if (all.tensor.pieces > 1 || *length >= 127 || *length == 0) continue;
        if (below(4) == 0) {
            (*length)--;
            splice(bodies, end - 1, 1, &byte, 0);
        } else {
            (*length)++;
            splice(bodies, end, 0, &byte, 1);
        }
        return;
    }
}

static text bases[MOST_BASES][2]; /* directory and bodies */
static size_t known;

static void keep_base(blob file) {
    sws_bytes all = {file.data, file.size, SWS_OK};
    text *parts = bases[known];
    sws_take(&all, 4);
    parts[0].size = (size_t)sws_varint(&all);
    if (known == MOST_BASES || parts[0].size > ROOM / 2 || all.left > ROOM / 2) return;
    memcpy(parts[0].bytes, sws_take(&all, parts[0].size), parts[0].size);
    sws_take(&all, 4);
    parts[1].size = all.left;
    memcpy(parts[1].bytes, all.at, all.left);
    known++;
}

static blob damaged(void) {
    static text parts[2];
    size_t which = below(known), other = below(known), steps = 1 + below(3), part = below(2);
    memcpy(parts, bases[which], sizeof parts);
    if (below(8) == 0) stretch(parts, parts + 1);
    else while (steps-- > 0) damage(parts + part, bases[other] + part);
    mend(parts, parts + 1);
    return sealed(parts, parts + 1);
}

#ifdef LIBFUZZER

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static text parts[2];
    blob file;
    if (size < 2 || size > ROOM) return 0;
    parts[0].size = sws_least(size - 2, (size_t)sws_little(data, 2));
    parts[1].size = size - 2 - parts[0].size;
    memcpy(parts[0].bytes, data + 2, parts[0].size);
    memcpy(parts[1].bytes, data + 2 + parts[0].size, parts[1].size);
    mend(parts, parts + 1);
    file = sealed(parts, parts + 1);
    tell(file, 1 << 14, NULL);
    free(file.data);
    return 0;
}

#else

int main(int count, char **arguments) {
    unsigned long counts[SWS_NOT_CODED + 2] = {0}, files, k;
    double slowest = 0;
    FILE *kept = count > 4 ? fopen(arguments[4], "wb") : NULL;
    uint64_t most;
    blob file;
    if (count < 4) return 2;
    state = strtoull(arguments[1], NULL, 10);
    files = strtoul(arguments[2], NULL, 10);
    most = strtoull(arguments[3], NULL, 10);
    while (next_blob(stdin, &file)) {
        keep_base(file);
        free(file.data);
    }
    for (k = 0; k < files; k++) {
        clock_t start = clock();
        double took;
        file = damaged();
        counts[tell(file, most, NULL) + 1]++;
        took = (double)(clock() - start) / CLOCKS_PER_SEC;
        if (took > slowest) slowest = took;
        if (kept) {
            uint8_t length[4];
            int i;
            for (i = 0; i < 4; i++) length[i] = (uint8_t)(file.size >> 8 * i);
            fwrite(length, 1, 4, kept);
            fwrite(file.data, 1, file.size, kept);
        }
        free(file.data);
    }
    if (kept && fclose(kept)) return 3;
    printf("%lu read\n%lu refused: too much memory\n", counts[1], counts[0]);
    for (k = 1; k <= SWS_NOT_CODED; k++) printf("%lu refused: %s\n", counts[k + 1], sws_message((int)k));
    printf("%.3f seconds at most\n", slowest);
    return 0;
}

#endif
