public import RandomStreams

extension Scene {
  /// A scene that gets this one wrong in one respect, as a poor model would.
  ///
  /// With probability 0.40 an object has another colour, with 0.30 another shape, with 0.15 one of two
  /// objects is missing; otherwise the background is the other one.
  public func withMistake(using stream: inout RandomStream) -> Scene {
    var scene = self
    let place = stream.integer(below: objects.count)
    let choice = stream.uniform()
    if choice < 0.40 {
      let taken = Set(objects.map(\.colour))
      scene.objects[place].colour = pick(SceneColour.allCases, except: taken, using: &stream)
    } else if choice < 0.70 {
      let taken: Set = [objects[place].shape]
      scene.objects[place].shape = pick(SceneShape.allCases, except: taken, using: &stream)
    } else if choice < 0.85, objects.count > 1 {
      scene.objects.remove(at: place)
    } else {
      scene.background = background.opposite
    }
    return scene
  }

  private func pick<Value: Hashable>(
    _ values: [Value], except taken: Set<Value>, using stream: inout RandomStream
  ) -> Value {
    let left = values.filter { !taken.contains($0) }
    return left[stream.integer(below: left.count)]
  }
}
