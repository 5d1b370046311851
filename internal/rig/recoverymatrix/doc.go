// Package recoverymatrix searches for a way to talk the house round. Its tests let attackers do everything that the real routes
// of the real program allow, in every order up to a depth, and ask after each step whether somebody's account has become
// theirs, or whether anything happened to it that its owner was not told (SEC H-1, T-HD1, T-ADM, T-MBX).
//
// The rules of the search:
//
//   - The alphabet comes from the routes as they are mounted. A route that nobody has thought about fails the tests.
//   - A state is the database with what the attackers know. Two ways to the same state are followed once.
//   - People at the desk who are fooled, and rogue administrators, use their own console, where every rule of it counts.
//   - The victim does nothing: no help from them, and nothing in the attackers' way.
//   - Time passes up to the end of the cooling-off, so that nothing may be won before; a second search goes on behind it and
//     has to find the ways that the policy allows two fooled people, or it would prove nothing.
//   - Each guard is taken away once, and the search has to notice.
package recoverymatrix
