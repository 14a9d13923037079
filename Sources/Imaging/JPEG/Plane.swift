/// A rectangle of values in memory of its own, zero at first.
final class Plane<Value: FixedWidthInteger> {
  let width: Int
  let height: Int
  let values: UnsafeMutablePointer<Value>

  init(width: Int, height: Int) {
    self.width = width
    self.height = height
    values = .allocate(capacity: width * height)
    values.initialize(repeating: 0, count: width * height)
  }

  deinit { values.deallocate() }
}
