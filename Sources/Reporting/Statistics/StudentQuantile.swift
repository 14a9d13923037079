import Foundation

/// The value that Student's t distribution stays below with a probability of more than 1/2.
///
/// - Parameters:
///   - probability: in 0.5..<1
///   - degreesOfFreedom: at least 1
package func studentQuantile(_ probability: Double, degreesOfFreedom: Int) -> Double {
  precondition((0.5..<1).contains(probability) && degreesOfFreedom >= 1, "no such quantile")
  // The distribution function rises with t: the bound is doubled until it is beyond, then halved.
  var upper = 1.0
  while studentDistribution(upper, degreesOfFreedom) < probability, upper < 1e9 { upper *= 2 }
  var lower = 0.0
  for _ in 0..<100 {
    let middle = (lower + upper) / 2
    if studentDistribution(middle, degreesOfFreedom) < probability {
      lower = middle
    } else {
      upper = middle
    }
  }
  return (lower + upper) / 2
}

/// The probability of values up to `t`, which is not negative.
///
/// The distribution's integral in closed form: with the angle whose tangent is `t / sqrt(n)`, a sum of
/// powers of its cosine.
///
/// - Source: Abramowitz and Stegun 1964, "Handbook of Mathematical Functions", 26.7.3 and 26.7.4
private func studentDistribution(_ t: Double, _ degreesOfFreedom: Int) -> Double {
  let angle = atan(t / Double(degreesOfFreedom).squareRoot())
  let (sine, cosine) = (sin(angle), cos(angle))
  let isOdd = !degreesOfFreedom.isMultiple(of: 2)
  // Terms cos^(k) (2 * 4 * ...) / (3 * 5 * ...) or (1 * 3 * ...) / (2 * 4 * ...).
  var term = isOdd ? cosine : 1
  var sum = degreesOfFreedom == 1 ? 0 : term
  var power = isOdd ? 3 : 2
  while power <= degreesOfFreedom - 2 {
    term *= cosine * cosine * Double(power - 1) / Double(power)
    // Odd: the term of cos^power has (power - 1) / power; even: that of cos^power the same.
    sum += term
    guard term > 1e-18 * sum else { break }
    power += 2
  }
  let central = isOdd ? 2 / Double.pi * (angle + sine * sum) : sine * sum
  return (1 + central) / 2
}
