/// Bounds within which memory and work can be counted in whole numbers, whatever a pipeline multiplies
/// them with: both far beyond any machine.
private let mostNumbers = 0x1p44
private let mostOperations = 0x1p60

extension NetworkPart {
  /// Whether a pass over these parts stays within the bounds.
  static func areFeasible(_ parts: [NetworkPart]) -> Bool {
    var numbers = 0.0
    var operations = 0.0
    for part in parts {
      let input = Double(part.inputPlaces) * Double(part.inputs)
      let output = Double(part.places) * Double(part.outputs)
      var layers = 1.0
      if case .transformer(let count, let tokens, let contextWidth, _) = part.kind {
        layers += Double(count)
        numbers += Double(tokens) * Double(contextWidth) * layers
      }
      numbers += 32 * layers * (input + output)
      // A convolution of 3 x 3 and eight linear layers; attention of all places to all.
      operations += layers * 18 * (input * Double(part.outputs) + output * Double(part.inputs))
      operations += layers * 4 * input * Double(part.places)
    }
    return numbers <= mostNumbers && operations <= mostOperations
  }
}
