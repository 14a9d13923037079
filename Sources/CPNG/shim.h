// libpng reports errors by longjmp, which must not cross Swift frames. These functions catch it:
// each sets its own jump target, and none keeps one after it returns.

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

enum { spo_png_message_size = 128 };

struct spo_png_reader {
  png_structp png;
  png_infop info;
  const unsigned char *bytes;
  size_t byte_count;
  size_t offset;
  // Colours of a palette as RGBA; none where rows hold the colours themselves.
  int color_count;
  unsigned char colors[4 * 256];
  char message[spo_png_message_size];
};

struct spo_png_writer {
  unsigned char *bytes;
  size_t byte_count;
  size_t capacity;
  char message[spo_png_message_size];
};

// The error pointer of a png_struct is the message buffer of its reader or writer.
static inline void spo_png_fail(png_structp png, png_const_charp reason) {
  char *message = (char *)png_get_error_ptr(png);
  strncpy(message, reason, spo_png_message_size - 1);
  message[spo_png_message_size - 1] = 0;
  png_longjmp(png, 1);
}

static inline void spo_png_ignore_warning(png_structp png, png_const_charp reason) {
  (void)png;
  (void)reason;
}

static inline void spo_png_take(png_structp png, png_bytep target, png_size_t count) {
  struct spo_png_reader *reader = (struct spo_png_reader *)png_get_io_ptr(png);
  if (count > reader->byte_count - reader->offset) png_error(png, "the file ends too early");
  memcpy(target, reader->bytes + reader->offset, count);
  reader->offset += count;
}

static inline void spo_png_take_palette(struct spo_png_reader *reader) {
  png_colorp colors = NULL;
  png_bytep alphas = NULL;
  int alpha_count = 0;
  png_get_PLTE(reader->png, reader->info, &colors, &reader->color_count);
  png_get_tRNS(reader->png, reader->info, &alphas, &alpha_count, NULL);
  if (reader->color_count < 1 || reader->color_count > 256) png_error(reader->png, "no palette");
  for (int i = 0; i < reader->color_count; i++) {
    reader->colors[4 * i] = colors[i].red;
    reader->colors[4 * i + 1] = colors[i].green;
    reader->colors[4 * i + 2] = colors[i].blue;
    reader->colors[4 * i + 3] = i < alpha_count ? alphas[i] : 255;
  }
}

// Reads the header and arranges for rows of 8-bit RGB, RGBA or palette indices. Returns 1, or 0 with a message.
// `reader` and `bytes` must stay where they are until spo_png_close, which is called in either case.
static inline __attribute__((noinline)) int spo_png_open(
    struct spo_png_reader *reader, const unsigned char *bytes, size_t byte_count,
    unsigned int width_limit, unsigned int height_limit) {
  // Chunks that do not change the pixels are passed over: no decompression, no damage.
  static const unsigned char passed_over[] =
      "bKGD\0cHRM\0eXIf\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs\0sBIT\0sCAL\0sPLT\0sRGB\0"
      "tEXt\0tIME\0zTXt";
  memset(reader, 0, sizeof *reader);
  reader->bytes = bytes;
  reader->byte_count = byte_count;
  reader->png = png_create_read_struct(
      PNG_LIBPNG_VER_STRING, reader->message, spo_png_fail, spo_png_ignore_warning);
  if (!reader->png) {
    strcpy(reader->message, "libpng cannot start");
    return 0;
  }
  if (setjmp(png_jmpbuf(reader->png))) return 0;
  reader->info = png_create_info_struct(reader->png);
  if (!reader->info) png_error(reader->png, "out of memory");
  png_set_read_fn(reader->png, reader, spo_png_take);
  png_set_user_limits(reader->png, width_limit, height_limit);
  png_set_chunk_cache_max(reader->png, 16);
  png_set_chunk_malloc_max(reader->png, 1 << 20);
  png_set_benign_errors(reader->png, 0);
  png_set_keep_unknown_chunks(
      reader->png, PNG_HANDLE_CHUNK_NEVER, passed_over, sizeof passed_over / 5);
  png_read_info(reader->png, reader->info);
  if (png_get_color_type(reader->png, reader->info) == PNG_COLOR_TYPE_PALETTE) {
    // libpng would make indices beyond the palette black.
    spo_png_take_palette(reader);
    png_set_packing(reader->png);
  } else {
    png_set_expand(reader->png);
    png_set_strip_16(reader->png);
    png_set_gray_to_rgb(reader->png);
  }
  return 1;
}

// Settles the transformations. Returns the bytes of a row, or 0 with a message.
static inline __attribute__((noinline)) size_t spo_png_start(
    struct spo_png_reader *reader, int *passes) {
  if (setjmp(png_jmpbuf(reader->png))) return 0;
  *passes = png_set_interlace_handling(reader->png);
  png_read_update_info(reader->png, reader->info);
  return png_get_rowbytes(reader->png, reader->info);
}

// Reads all rows into `pixels`, which holds row_bytes * height bytes, and checks what follows them.
// Returns 1, or 0 with a message.
static inline __attribute__((noinline)) int spo_png_read(
    struct spo_png_reader *reader, int passes, unsigned char *pixels, size_t row_bytes,
    size_t height) {
  if (setjmp(png_jmpbuf(reader->png))) return 0;
  for (int pass = 0; pass < passes; pass++)
    for (size_t row = 0; row < height; row++)
      png_read_row(reader->png, pixels + row * row_bytes, NULL);
  png_read_end(reader->png, NULL);
  return 1;
}

static inline void spo_png_close(struct spo_png_reader *reader) {
  png_destroy_read_struct(&reader->png, &reader->info, NULL);
}

static inline const char *spo_png_reader_message(const struct spo_png_reader *reader) {
  return reader->message;
}

static inline void spo_png_append(png_structp png, png_bytep bytes, png_size_t count) {
  struct spo_png_writer *writer = (struct spo_png_writer *)png_get_io_ptr(png);
  if (count > writer->capacity - writer->byte_count) {
    size_t capacity = 2 * writer->capacity + count;
    unsigned char *grown = (unsigned char *)realloc(writer->bytes, capacity);
    if (!grown) png_error(png, "out of memory");
    writer->bytes = grown;
    writer->capacity = capacity;
  }
  memcpy(writer->bytes + writer->byte_count, bytes, count);
  writer->byte_count += count;
}

static inline void spo_png_flush(png_structp png) { (void)png; }

// Writes 8-bit RGB pixels. Returns 1, or 0 with a message; either way the caller frees
// writer->bytes.
static inline __attribute__((noinline)) int spo_png_write(
    struct spo_png_writer *writer, const unsigned char *pixels, unsigned int width,
    unsigned int height) {
  memset(writer, 0, sizeof *writer);
  png_structp png = png_create_write_struct(
      PNG_LIBPNG_VER_STRING, writer->message, spo_png_fail, spo_png_ignore_warning);
  if (!png) {
    strcpy(writer->message, "libpng cannot start");
    return 0;
  }
  png_infop volatile info = NULL;
  volatile int written = 0;
  if (!setjmp(png_jmpbuf(png))) {
    info = png_create_info_struct(png);
    if (!info) png_error(png, "out of memory");
    png_set_write_fn(png, writer, spo_png_append, spo_png_flush);
    png_set_IHDR(
        png, info, width, height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
        PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (size_t row = 0; row < height; row++)
      png_write_row(png, (png_const_bytep)pixels + row * 3 * (size_t)width);
    png_write_end(png, NULL);
    written = 1;
  }
  png_infop finished = info;
  png_destroy_write_struct(&png, &finished);
  return written;
}

static inline const char *spo_png_writer_message(const struct spo_png_writer *writer) {
  return writer->message;
}
