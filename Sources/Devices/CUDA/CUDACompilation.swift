import Backends
import HostResources

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
    // Half precision has all that TF32 has, and, without tensor cores, all that single precision has.
    let variants =
      target == "sm_75"
      ? variants(.half, onTensorCores: false)
      : variants(.single, onTensorCores: false) + variants(.half, onTensorCores: true)
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
  package static func variants(
    _ precision: ProductPrecision, onTensorCores: Bool
  ) -> [(KernelSource, [String])] {
    let isHalf = precision == .half
    let formats = [NumberFormat.single, .half(.binary16), .half(.bfloat16)]
    let own = isHalf ? formats : [.single]
    func pairs(_ others: (NumberFormat) -> [NumberFormat]) -> [[String]] {
      own.flatMap { format in others(format).map { activationDefinitions(format, other: $0) } }
    }
    // Of a sum or a difference the second is an activation or a parameter; sums are of single precision, or
    // become activations.
    let elements = pairs { $0 == .single ? [.single] : [$0, .single] }
    let sums = pairs { $0 == .single ? own : [$0, .single] }
    // Weights of half precision are widened wherever models compute; what is an activation is what a table has.
    let copies =
      isHalf
      ? pairs { _ in own } : formats.map { activationDefinitions($0, other: .single) }
    let norms = own.map { ["ACTIVATION=\($0.code)"] }
    let tensor = DeviceBackend.tensorDefinitions(onTensorCores)
    let products = ProductForm.all(
      isHalf ? [.binary16, .bfloat16] : [], onTensorCores: onTensorCores)
    // Heads of 40, 64, 80 and 160.
    let heads = [3, 4, 5, 10].map { ["PART=4", "COLUMN_PARTS=\($0)"] }
    let attention = heads.flatMap { head in norms.map { head + $0 + tensor } }
    let half = heads.map { $0 + ["ACTIVATION=\(NumberFormat.half(.binary16).code)"] + tensor }
    let plain: [(KernelSource, [[String]])] = [
      (.elementwise, elements), (.movement, copies), (.rows, sums), (.normalization, norms),
      (.attention, attention), (.halfAttention, isHalf && onTensorCores ? half : []),
      (.halfAttentionGradients, isHalf && onTensorCores ? Array(half.dropLast()) : []),
    ]
    return plain.flatMap { source, definitions in definitions.map { (source, $0) } }
      + products.map { ($0.source, $0.definitions + tensor) }
  }
}
