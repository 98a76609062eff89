/* What the tests' programs share: files in a row on a stream, and everything that one of them
   holds, decoded in every way that sws.h has, in blocks of exactly the size that is asked for, so
   that a sanitizer sees every byte beyond. */

#ifndef TOLD_H
#define TOLD_H

#include <stdio.h>
#include <stdlib.h>

#define SWS_IMPLEMENTATION
#include "sws.h"

typedef struct {
    uint8_t *data;
    size_t size;
} blob;

static void *block_of(size_t size) {
    void *block = malloc(size ? size : 1);
    if (!block) exit(3);
    return block;
}

/* The next file of a stream: four bytes say how long it is. 0 at the end. */
static int next_blob(FILE *stream, blob *found) {
    uint8_t length[4];
    if (fread(length, 1, 4, stream) != 4) return 0;
    found->size = (size_t)sws_little(length, 4);
    found->data = block_of(found->size);
    if (fread(found->data, 1, found->size, stream) != found->size) exit(3);
    return 1;
}

/* The bytes of the network in memory, as nnc.storage counts them. */
static uint64_t memory_of(const sws_file *file, uint64_t *letters) {
    uint64_t all = 0;
    size_t k, i;
    *letters = 0;
    for (k = 0; k < file->count; k++) {
        const sws_tensor *tensor = file->tensors + k;
        uint64_t bytes = sws_type_size(tensor->type);
        size_t size = sws_name(tensor, NULL, 0) + 1;
        char *name = block_of(size);
        sws_name(tensor, name, size);
        for (i = 0; name[i]; i++) *letters += (name[i] & 0xc0) != 0x80;
        free(name);
        if (tensor->form == SWS_TIED) continue;
        if (tensor->weight && bytes < 4) bytes = 4;
        for (i = 0; i < tensor->dimensions; i++) bytes *= tensor->shape[i] ? tensor->shape[i] : 1;
        if (bytes > SWS_MOST_SIZE) return bytes;
        all += bytes;
    }
    return all;
}

/* Decode a tensor in every way; with a stream, say there what came out. */
static int tell_tensor(sws_file *file, size_t at, FILE *out) {
    const sws_tensor *tensor = file->tensors + at;
    size_t count = tensor->count, size = sws_type_size(tensor->type), k;
    float *floats = block_of(count * sizeof *floats);
    uint8_t *numbers = block_of(count * size), *book = block_of(tensor->book * size);
    int32_t *codes = block_of(count * sizeof *codes);
    char *name = block_of(sws_name(tensor, NULL, 0) + 1);
    int error = sws_floats(file, at, floats, count);
    sws_name(tensor, name, sws_name(tensor, NULL, 0) + 1);
    if (!error && strlen(name) == sws_name(tensor, NULL, 0) && sws_find(file, name) != at) exit(4);
    for (k = 0; !error && k < count; k++) /* what is no number has many bits */
        if (floats[k] != floats[k]) floats[k] = sws_as_float(0x7fc00000);
    if (!error) error = sws_numbers(file, at, numbers, count * size);
    if (!error && tensor->weight) error = sws_codes(file, at, codes, count);
    if (!error && tensor->weight) error = sws_book(file, at, book, tensor->book * size);
    if (!error && out) {
        for (k = 0; k < sws_name(tensor, NULL, 0); k++) fprintf(out, "%02x", (unsigned char)name[k]);
        fprintf(out, " %u %u", (unsigned)tensor->same_as, (unsigned)tensor->type);
        fprintf(out, " %08x", (unsigned)sws_crc((uint8_t *)floats, count * sizeof *floats));
        fprintf(out, " %08x", (unsigned)sws_crc(numbers, count * size));
        if (tensor->weight) {
            fprintf(out, " %08x", (unsigned)sws_crc((uint8_t *)codes, count * sizeof *codes));
            fprintf(out, " %08x", (unsigned)sws_crc(book, tensor->book * size));
        } else {
            fprintf(out, " - -");
        }
        for (k = 0; k < tensor->dimensions; k++) fprintf(out, " %lu", (unsigned long)tensor->shape[k]);
        fprintf(out, "\n");
    }
    free(floats);
    free(numbers);
    free(codes);
    free(book);
    free(name);
    return error;
}

/* Open a file and decode everything; -1 where it would take more memory than allowed. The last
   tensor comes first, so that what it needs of others is found too. */
static int tell(blob given, uint64_t most, FILE *out) {
    uint8_t *data = block_of(given.size), *memory = NULL;
    size_t room, k;
    uint64_t letters;
    sws_file file;
    int error;
    memcpy(data, given.data, given.size);
    error = sws_need(data, given.size, &room);
    if (!error && room > 1 << 26) error = -1;
    if (!error) {
        memory = block_of(room);
        error = sws_open(&file, data, given.size, memory, room);
    }
    if (!error && (memory_of(&file, &letters) > most || letters > most)) error = -1;
    if (!error && file.count > 0) error = tell_tensor(&file, file.count - 1, NULL);
    for (k = 0; !error && k < file.count; k++) error = tell_tensor(&file, k, out);
    free(memory);
    free(data);
    return error;
}

#endif
