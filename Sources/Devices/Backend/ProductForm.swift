import Backends
import HostResources

/// The formats of a product's factors and result.
struct ProductFormats {
  let left: NumberFormat
  let right: NumberFormat
  let output: NumberFormat

  init(_ left: NumberFormat, _ right: NumberFormat, _ output: NumberFormat) {
    self.left = left
    self.right = right
    self.output = output
  }

  init(_ left: Operand, _ right: Operand, into output: Operand) {
    self.init(left.storage.format, right.storage.format, output.storage.format)
  }

  fileprivate var definitions: [String] {
    ["LEFT_FORMAT=\(left.code)", "RIGHT_FORMAT=\(right.code)", "OUTPUT_FORMAT=\(output.code)"]
  }
}

/// How the kernel of products is compiled for one of them.
///
/// Each sum is added up in the same order in every form of a factor, so that which form is taken, by the
/// number of rows, changes no result.
struct ProductForm {
  /// What the left factor is.
  enum Left: Int {
    case matrix
    /// The pixels under the kernel, for each pixel of a convolution's output.
    case patches
    /// The output's pixels that a pixel of the input reaches.
    case gradientPatches
    /// The transpose of `patches`.
    case patchColumns
  }

  let left: Left
  let formats: ProductFormats
  /// Whether elements of a row of the left factor, and of a column of the right one, are neighbours in memory,
  /// as opposed to rows and columns.
  let isByElement: (left: Bool, right: Bool)
  /// Whether the kernel is that for factors of binary16.
  let isHalf: Bool
  /// Rows and columns of sums that one work item computes; a group's tile has 16 times as many.
  let part: Int
  /// Elements of a sum that one group adds up, a multiple of its slices.
  let splitLength: Int
  /// Groups that add up parts of the same sums.
  let splits: Int

  /// - Parameters:
  ///   - isByElement: for a matrix; images say it themselves
  ///   - suitsHalfProduct: whether there are tensor cores, and neighbours in memory come in eights
  ///   - isSplit: whether sums may be added up in parts, so that few and long ones make work for many groups;
  ///     for gradients of weights alone, as the parts depend on the sums' length
  init(
    _ left: Left, _ formats: ProductFormats,
    isByElement: (left: Bool, right: Bool) = (false, false), rows: Int, columns: Int, inner: Int,
    suitsHalfProduct: Bool = false, isSplit: Bool = false
  ) {
    self.left = left
    isHalf =
      suitsHalfProduct && formats.left == .half(.binary16) && formats.right == .half(.binary16)
    self.isByElement = isByElement
    // Large tiles read less, but need enough of them to be worth it.
    part = Self.tiles(rows, columns, part: 8) >= 128 && columns % 128 != 64 ? 8 : 4
    let tiles = Self.tiles(rows, columns, part: part)
    let slices = max(1, (inner + Self.depth - 1) / Self.depth)
    let wanted = isSplit ? max(1, min(256 / max(1, tiles), slices / 16)) : 1
    splitLength = (slices + wanted - 1) / wanted * Self.depth
    splits = max(1, (inner + splitLength - 1) / splitLength)
    // Parts of sums are of single precision until they are added.
    self.formats =
      splits > 1 ? ProductFormats(formats.left, formats.right, .single) : formats
  }

  var source: KernelSource { isHalf ? .halfProduct : .product }

  var definitions: [String] {
    Self.definitions(left, formats, isByElement: isByElement, isHalf: isHalf, part: part)
  }

  private static func definitions(
    _ left: Left, _ formats: ProductFormats, isByElement: (left: Bool, right: Bool),
    isHalf: Bool, part: Int
  ) -> [String] {
    let orders =
      left == .matrix
      ? [
        "LEFT_BY_ELEMENT=\(isByElement.left ? 1 : 0)",
        "RIGHT_BY_ELEMENT=\(isByElement.right ? 1 : 0)",
      ] : []
    return ["PART=\(part)", "LEFT=\(left.rawValue)"]
      + (isHalf ? [formats.definitions[2]] : formats.definitions) + orders
  }

  /// The definitions of every form that models use.
  ///
  /// - Parameters:
  ///   - activations: the formats that activations lie in besides single precision
  ///   - onTensorCores: whether there is a kernel for factors of binary16
  static func all(
    _ activations: [HalfFormat], onTensorCores: Bool
  ) -> [(source: KernelSource, definitions: [String])] {
    let weights = [NumberFormat.single, .half(.binary16), .half(.bfloat16)]
    func byWeights(_ activations: NumberFormat) -> [ProductFormats] {
      weights.map { ProductFormats(activations, $0, activations) }
    }
    let single = [ProductFormats(.single, .single, .single)]
    // Gradients of weights have no factor of half precision.
    var forms: [(Left, (Bool, Bool), [ProductFormats])] = [
      (.matrix, (true, true), byWeights(.single)), (.matrix, (true, false), byWeights(.single)),
      (.matrix, (false, true), single), (.matrix, (false, false), single),
      (.patches, (true, false), byWeights(.single)),
      (.gradientPatches, (true, true), byWeights(.single)),
      (.patchColumns, (false, false), single),
    ]
    for format in activations.map(NumberFormat.half) {
      forms += [
        (.matrix, (true, true), byWeights(format)), (.patches, (true, false), byWeights(format)),
      ]
      // What binary16 cannot hold is computed in bfloat16, and is not trained.
      guard format == .half(.binary16) else { continue }
      // The middle of a low-rank update, and gradients of weights.
      let narrowed = [ProductFormats(format, .single, .single)]
      let both = [ProductFormats(format, format, .single)]
      forms += [
        (.matrix, (true, false), byWeights(format) + narrowed),
        (.gradientPatches, (true, true), byWeights(format)), (.matrix, (true, true), narrowed),
        (
          .matrix, (false, false),
          both + narrowed + [ProductFormats(.single, format, .single)]
        ),
        (.patchColumns, (false, false), both),
      ]
    }
    return [4, 8].flatMap { part in
      forms.flatMap { left, isByElement, formats in
        formats.flatMap { formats in
          let canBeHalf =
            onTensorCores && formats.left == .half(.binary16) && formats.right == .half(.binary16)
          return (canBeHalf ? [false, true] : [false]).map { isHalf in
            (
              isHalf ? KernelSource.halfProduct : .product,
              definitions(left, formats, isByElement: isByElement, isHalf: isHalf, part: part)
            )
          }
        }
      }
    }
  }

  func groups(rows: Int, columns: Int) -> (x: Int, y: Int) {
    let tile = 16 * part
    return ((rows + tile - 1) / tile, (columns + tile - 1) / tile * splits)
  }

  private static let depth = 16
  /// Rows and columns of a group's sums at most.
  static let largestTile = 128

  private static func tiles(_ rows: Int, _ columns: Int, part: Int) -> Int {
    let tile = 16 * part
    return ((rows + tile - 1) / tile) * ((columns + tile - 1) / tile)
  }
}
