extension KernelSource {
  /// How the left factor of a product is an image that is seen as a matrix, without being copied; see
  /// ``ProductForm``.
  static let patches = #"""

    // What the rows of the left factor and its elements are; as ProductForm.Left.
    #define MATRIX 0
    // Rows: pixels of the output. Elements: kernel positions by input channels.
    #define PATCHES 1
    // Rows: pixels of the input. Elements: kernel positions by output channels.
    #define GRADIENT_PATCHES 2
    // Rows: kernel positions by input channels. Elements: pixels of the output.
    #define PATCH_COLUMNS 3

    // Whether neighbours in memory are elements of a line, rather than lines; defined for matrices.
    #if LEFT == PATCHES
    #define LEFT_BY_ELEMENT 1
    #define RIGHT_BY_ELEMENT 0
    #elif LEFT == GRADIENT_PATCHES
    #define LEFT_BY_ELEMENT 1
    #define RIGHT_BY_ELEMENT 1
    #elif LEFT == PATCH_COLUMNS
    #define LEFT_BY_ELEMENT 0
    #define RIGHT_BY_ELEMENT 0
    #endif

    #if LEFT == MATRIX
    #define LEFT_PARAMETERS \
      uint leftStride, uint leftElementStride, uint rightStride, uint rightElementStride
    #else
    #define LEFT_PARAMETERS \
      int height, int width, int channels, int outputHeight, int outputWidth, int kernelWidth, int stride, int top, \
      int leading, int upsamples

    // A convolution's input is `height` x `width`, upsampled twofold before it if `upsamples`.
    typedef struct {
      int height, width, outputHeight, outputWidth, kernelWidth, stride, top, leading, upsamples;
    } Images;
    #define IMAGES \
      { height, width, outputHeight, outputWidth, kernelWidth, stride, top, leading, upsamples }
    #endif

    #if LEFT == PATCHES || LEFT == GRADIENT_PATCHES
    // Pixels of an image whose pixels are the rows, and of one that is read.
    #if LEFT == PATCHES
    #define ROW_WIDTH(images) (images).outputWidth
    #define ROW_PIXELS(images) ((images).outputHeight * (images).outputWidth)
    #define READ_WIDTH(images) ((images).width >> (images).upsamples)
    #define READ_PIXELS(images) (((images).height >> (images).upsamples) * READ_WIDTH(images))
    #else
    #define ROW_WIDTH(images) (images).width
    #define ROW_PIXELS(images) ((images).height * (images).width)
    #define READ_WIDTH(images) (images).outputWidth
    #define READ_PIXELS(images) ((images).outputHeight * (images).outputWidth)
    #endif

    // A row: the first pixel of its image, counted from that of `firstImage`, and where the kernel begins, 16 bits
    // each for y and x.
    typedef struct { int corner, place; } Line;

    DEVICE Line lineOf(int row, int rows, int firstImage, Images images) {
      int image = row / ROW_PIXELS(images), pixel = row - image * ROW_PIXELS(images);
      int y = pixel / ROW_WIDTH(images), x = pixel - y * ROW_WIDTH(images);
    #if LEFT == PATCHES
      y = y * images.stride - images.top;
      x = x * images.stride - images.leading;
    #else
      y += images.top;
      x += images.leading;
    #endif
      Line line;
      line.corner = (image - firstImage) * READ_PIXELS(images);
      // No element of a row beyond the last is inside of the image.
      line.place = row < rows ? (int)((uint)y << 16 | ((uint)x & 0xFFFFu)) : (int)0x80008000u;
      return line;
    }

    // The pixel that lies under a position of the kernel; negative outside of the image.
    DEVICE int pixelUnder(Line line, int tap, Images images) {
      int ky = tap / images.kernelWidth, kx = tap - ky * images.kernelWidth;
      int y = line.place >> 16, x = (int)((uint)line.place << 16) >> 16;
    #if LEFT == PATCHES
      y += ky;
      x += kx;
      int isInside = (y >= 0) & (y < images.height) & (x >= 0) & (x < images.width);
      y >>= images.upsamples;
      x >>= images.upsamples;
    #else
      y -= ky;
      x -= kx;
      int isInside = (y >= 0) & (x >= 0);
      int outputY = isInside ? y / images.stride : 0, outputX = isInside ? x / images.stride : 0;
      isInside &= (outputY * images.stride == y) & (outputX * images.stride == x)
        & (outputY < images.outputHeight) & (outputX < images.outputWidth);
      y = outputY;
      x = outputX;
    #endif
      return isInside ? line.corner + y * READ_WIDTH(images) + x : -1;
    }
    #elif LEFT == PATCH_COLUMNS
    // The input's pixel under a position of the kernel, which begins at `k`, a pixel of the output; negative outside.
    DEVICE int pixelOf(int k, int tap, Images images) {
      int pixels = images.outputHeight * images.outputWidth;
      int image = k / pixels, pixel = k - image * pixels;
      int ky = tap / images.kernelWidth, kx = tap - ky * images.kernelWidth;
      int row = pixel / images.outputWidth;
      int y = row * images.stride + ky - images.top;
      int x = (pixel - row * images.outputWidth) * images.stride + kx - images.leading;
      int isInside = (y >= 0) & (y < images.height) & (x >= 0) & (x < images.width);
      return isInside ? (image * images.height + y) * images.width + x : -1;
    }
    #endif
    """#

  /// In a product's kernel, the tile of the output that a group computes, and its part of the elements.
  static let tileOfGroup = #"""
      int columnTiles = (columns + TILE - 1) / TILE;
      int split = GROUP_Y / columnTiles;
      int rowStart = GROUP_X * TILE, columnStart = GROUP_Y % columnTiles * TILE;
    """#

  /// After that, where those elements of both factors are, and this work item's lines of the left one.
  ///
  /// - Parameters:
  ///   - lineCount: how many lines a work item reads
  ///   - line: the macro that finds them
  static func factorsOfGroup(lineCount: String, line: String) -> String {
    #"""
      int first = split * splitLength;
      int end = inner < first + splitLength ? inner : first + splitLength;

    #if LEFT == MATRIX
      left += (wide)rowStart * leftStride + (wide)first * leftElementStride;
      right += (wide)columnStart * rightStride + (wide)first * rightElementStride;
    #else
      Images images = IMAGES;
    #endif
    #if LEFT == PATCHES || LEFT == GRADIENT_PATCHES
      int firstImage = rowStart / ROW_PIXELS(images);
      left += (wide)firstImage * READ_PIXELS(images) * channels;
      Line lines[\#(lineCount)];
      UNROLL for (int i = 0; i < \#(lineCount); i++)
        lines[i] = lineOf(rowStart + \#(line)(i, 1), rows, firstImage, images);
    #elif LEFT == PATCH_COLUMNS
      int ownRow = rowStart + \#(line)(0, 0);
      int ownTap = ownRow / channels, ownChannel = ownRow - ownTap * channels;
    #endif
    #if LEFT == PATCHES || LEFT == PATCH_COLUMNS
      right += (wide)first * columns + columnStart;
    #endif
    """#
  }
}
