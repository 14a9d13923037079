import Backends
import HostResources

/// How the kernel of products is compiled for one of them.
///
/// Each sum is added up in the same order in every form of a factor, so that which form is taken, by the
/// number of rows, changes no result. Products on tensor cores, whose factors are of half precision, would be
/// another kernel that takes the same arguments: their place is here.
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
  let right: NumberFormat
  /// Rows and columns of sums that one work item computes; a group's tile has 16 times as many.
  let part: Int
  /// Elements of a sum that one group adds up, a multiple of its slices.
  let splitLength: Int
  /// Groups that add up parts of the same sums.
  let splits: Int

  /// - Parameter isSplit: whether sums may be added up in parts, so that few and long ones make work for
  ///   many groups; for gradients of weights alone, as the parts depend on the sums' length
  init(
    _ left: Left, _ right: NumberFormat, rows: Int, columns: Int, inner: Int, isSplit: Bool = false
  ) {
    self.left = left
    self.right = right
    // Large tiles read less, but need enough of them to be worth it.
    part = Self.tiles(rows, columns, part: 8) >= 128 && columns % 128 != 64 ? 8 : 4
    let tiles = Self.tiles(rows, columns, part: part)
    let slices = max(1, (inner + Self.depth - 1) / Self.depth)
    let wanted = isSplit ? max(1, min(256 / max(1, tiles), slices / 16)) : 1
    splitLength = (slices + wanted - 1) / wanted * Self.depth
    splits = max(1, (inner + splitLength - 1) / splitLength)
  }

  var definitions: [String] {
    let format =
      switch right {
      case .single: 0
      case .half(.binary16): 1
      case .half(.bfloat16): 2
      }
    return ["PART=\(part)", "LEFT=\(left.rawValue)", "FORMAT=\(format)"]
  }

  func groups(rows: Int, columns: Int) -> (x: Int, y: Int) {
    let tile = 16 * part
    return ((rows + tile - 1) / tile, (columns + tile - 1) / tile * splits)
  }

  private static let depth = 16

  private static func tiles(_ rows: Int, _ columns: Int, part: Int) -> Int {
    let tile = 16 * part
    return ((rows + tile - 1) / tile) * ((columns + tile - 1) / tile)
  }
}
