import Backends
import HostResources

extension NumberFormat {
  /// The number by which kernels know it.
  var code: Int {
    switch self {
    case .single: 0
    case .half(.binary16): 1
    case .half(.bfloat16): 2
    }
  }
}

/// How kernels are compiled for operands of one format, and, where they have such, others of another.
///
/// - Parameter activations: operands that all have the same format
func activationDefinitions(_ activations: [Operand], other: Operand? = nil) -> [String] {
  let format = activations[0].storage.format
  precondition(
    activations.allSatisfy { $0.storage.format == format },
    "activations of different formats: \(activations.map(\.storage.format))")
  return activationDefinitions(format, other: other?.storage.format ?? format)
}

func activationDefinitions(_ activations: NumberFormat, other: NumberFormat) -> [String] {
  ["ACTIVATION=\(activations.code)", "OTHER=\(other.code)"]
}

/// The same where the others are of single precision, always.
func activationDefinitions(of activations: [Operand]) -> [String] {
  [activationDefinitions(activations)[0]]
}
