import Files

/// A file of kernels in the common subset of OpenCL C and CUDA C++, compiled for a device when it is needed.
///
/// They are strings of the program rather than files beside it, so that the binary is all there is to copy.
/// What the languages spell differently stands in ``prelude``. Rules of the subset:
///
/// - Every pointer to global memory is followed by the number of elements before its first, as OpenCL has no
///   arithmetic on pointers outside of kernels: `INPUT(x)` declares both, `AT(x)` adds them.
/// - `int`, `uint` and `wide`; never `long`, whose size differs.
/// - `half` is a keyword; numbers of half precision are `ushort` bits. `ACTIVATIONS(x)` declares numbers of the format
///   that the launch's activations have, read by `LOAD` and written by `STORE`; `INPUT` and `OUTPUT` are of single precision.
/// - Helpers that take local memory say `LOCAL_POINTER`, and every work item of a group calls them.
package struct KernelSource: Sendable {
  /// For messages about what the compiler said.
  package let name: String
  private let body: String

  init(name: String, _ body: String) {
    self.name = name
    self.body = body
  }

  package var text: String { Self.prelude + "\n" + body }

  private static let all = [
    elementwise, movement, rows, normalization, product, halfProduct, attention, halfAttention,
    halfAttentionGradients,
  ]

  /// Changes when the kernels do.
  static let digest = SHA256.hexDigest(of: Array(all.map(\.text).joined().utf8))

  /// Every work group has so many work items.
  static let groupSize = 256

  /// Numbers of binary16 that are copied at once, from a place that is a multiple of as many.
  static let chunk = 8
}
