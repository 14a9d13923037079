/// How the two images of a comparison are shown to the preference model.
package enum PreferenceView: Hashable {
  /// As they are, at timestep 0.
  case clean
  /// Noised at a timestep of the comparison's own, drawn anew for each number.
  case draw(Int)
  /// Noised at this timestep.
  case timestep(Int)

  /// For file names and messages.
  var name: String {
    switch self {
    case .clean: "clean"
    case .draw(let number): "draw\(number)"
    case .timestep(let timestep): "t\(timestep)"
    }
  }

  /// Tells apart the noises of one comparison.
  var noiseKey: UInt64 {
    switch self {
    case .clean: 0
    case .draw(let number), .timestep(let number): UInt64(number)
    }
  }
}

extension PreferenceSettings {
  /// Comparisons that are judged at once without being learned from: those of a batch, as far as they take
  /// about the memory that learning takes.
  var judgedAtOnce: Int { max(1, min(batch, 4 * max(1, microBatch))) }

  /// How the finished model is shown comparisons.
  var evaluatedViews: [PreferenceView] { [.clean] + validationTimesteps.map { .timestep($0) } }

  /// How checkpoints are shown comparisons.
  var checkedViews: [PreferenceView] {
    validationTimesteps.filter { $0 < selectionLimit }.map { .timestep($0) }
  }
}
