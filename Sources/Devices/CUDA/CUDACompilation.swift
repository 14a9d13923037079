/// Every kernel compiled as for a GPU, where there need not be one.
///
/// A compiler is found as for a GPU; what it makes is not run.
public enum CUDACompilation {
  /// Nil where no compiler is found.
  private static let compiler = NVRTC(forDriver: 13)

  public static var isHere: Bool { compiler != nil }

  /// What tells the compiler from others of its version; nil where none is found.
  public static func digest() throws -> String? { try compiler?.digest() }

  /// Compiles all kernels in all their forms; one that would keep its numbers in memory for lack of registers is
  /// an error.
  ///
  /// - Parameter target: such as `sm_90`
  /// - Returns: how many programs there are
  public static func compileAll(for target: String) throws(DeviceError) -> Int {
    guard let compiler else { throw .notFound("no compiler, libnvrtc; \(NVRTC.installation)") }
    let precisions = target == "sm_75" ? [ProductPrecision.single] : ProductPrecision.allCases
    let variants = variants(precisions)
    for (source, definitions) in variants {
      let spills = try compiler.spills(
        of: source, target: target, definitions: definitions, device: target)
      guard spills.isEmpty else {
        throw .notCompiled(
          source: "\(source.name) \(definitions.joined(separator: " "))", device: target,
          log: "error: registers are spilled: \(spills.joined(separator: "; "))")
      }
    }
    return variants.count
  }

  package static func isWhole(_ code: [UInt8]) -> Bool { CUDABinary.isWhole(code) }

  package static func machineCode(
    _ source: KernelSource, _ definitions: [String], for target: String
  ) throws(DeviceError) -> [UInt8] {
    guard let compiler else { throw .notFound("no compiler, libnvrtc; \(NVRTC.installation)") }
    return try compiler.machineCode(
      source, target: target, definitions: definitions, device: target)
  }

  /// Every source with the definitions it is compiled with.
  package static func variants(_ precisions: [ProductPrecision]) -> [(KernelSource, [String])] {
    let plain = [
      KernelSource.elementwise, .movement, .rows, .normalization,
    ].map { ($0, [String]()) }
    let products = ProductForm.allDefinitions.map { (KernelSource.product, $0) }
    // Heads of 40, 64, 80 and 160.
    let attention = [3, 4, 5, 10].map {
      (KernelSource.attention, ["PART=4", "COLUMN_PARTS=\($0)"])
    }
    return plain
      + precisions.flatMap { precision in
        (products + attention).map { ($0, $1 + precision.definitions) }
      }
  }
}
