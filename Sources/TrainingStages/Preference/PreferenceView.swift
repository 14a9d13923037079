/// The form in which the preference model sees the two images of a comparison.
package enum PreferenceView: Hashable {
  /// Clean, at timestep 0.
  case clean
  /// Noised at a random timestep of the comparison, sampled anew for each number.
  case draw(Int)
  /// Noised at this timestep.
  case timestep(Int)

  /// The name in file names and messages.
  var name: String {
    switch self {
    case .clean: "clean"
    case .draw(let number): "draw\(number)"
    case .timestep(let timestep): "t\(timestep)"
    }
  }

  /// A key that distinguishes the noises of one comparison.
  var noiseKey: UInt64 {
    switch self {
    case .clean: 0
    case .draw(let number), .timestep(let number): UInt64(number)
    }
  }
}

extension PreferenceSettings {
  /// The number of comparisons evaluated together: a batch, limited to about the memory of
  /// training.
  var judgedAtOnce: Int { max(1, min(batch, 4 * max(1, microBatch))) }

  /// The views in which the finished model is evaluated.
  var evaluatedViews: [PreferenceView] { [.clean] + validationTimesteps.map { .timestep($0) } }

  /// The views in which checkpoints are validated.
  var checkedViews: [PreferenceView] {
    validationTimesteps.filter { $0 < selectionLimit }.map { .timestep($0) }
  }
}
